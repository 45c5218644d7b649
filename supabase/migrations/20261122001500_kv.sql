-- A small store of keys and JSON values for each API: what its code has to remember.

-- Plain json keeps a value as it was written: order of names, text with \u0000, 1e22.
create table public.api_kv (
    api_id uuid not null references public.apis on delete cascade,
    key text collate "C" not null check (octet_length(key) between 1 and 512),
    value json not null,
    bytes int not null check (bytes > 0),
    expires_at timestamptz,
    updated_at timestamptz not null default now(),
    primary key (api_id, key)
);
create index api_kv_expires_at_idx on public.api_kv (expires_at) where expires_at is not null;

-- One row per API: what it holds, and the lock under which that changes.
create table public.api_kv_totals (
    api_id uuid primary key references public.apis on delete cascade,
    keys int not null default 0 check (keys >= 0),
    bytes bigint not null default 0 check (bytes >= 0)
);

alter table public.api_kv enable row level security;
alter table public.api_kv_totals enable row level security;
revoke all on public.api_kv, public.api_kv_totals from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.api_kv, public.api_kv_totals to service_role;
grant select on public.api_kv, public.api_kv_totals to authenticated;

create policy members_read_kv on public.api_kv
    for select to authenticated using (
        api_id in (
            select api.id
              from public.apis as api
              join public.tenant_members as member on member.tenant_id = api.tenant_id
             where member.user_id = (select auth.uid())
        )
    );
create policy members_read_kv_totals on public.api_kv_totals
    for select to authenticated using (
        api_id in (
            select api.id
              from public.apis as api
              join public.tenant_members as member on member.tenant_id = api.tenant_id
             where member.user_id = (select auth.uid())
        )
    );

-- --- parts --------------------------------------------------------------------------------

-- False when there is no such API. The API's row comes first, as it does for whoever deletes
-- it, so that the two cannot block each other.
create function private.kv_lock(p_api_id uuid) returns boolean
language plpgsql set search_path = '' as $$
begin
    perform from public.apis where id = p_api_id for key share;
    if not found then
        return false;
    end if;
    perform from public.api_kv_totals where api_id = p_api_id for update;
    if not found then
        insert into public.api_kv_totals (api_id) values (p_api_id) on conflict do nothing;
        perform from public.api_kv_totals where api_id = p_api_id for update;
    end if;
    return true;
end
$$;

create function private.kv_lock_or_refuse(p_api_id uuid) returns void
language plpgsql set search_path = '' as $$
begin
    if not private.kv_lock(p_api_id) then
        perform private.refuse(404, 'not_found', 'There is no such API.');
    end if;
end
$$;

-- The three below are called under the lock.
create function private.kv_remove(p_api_id uuid, p_keys text[]) returns int
language sql set search_path = '' as $$
    with gone as (
        delete from public.api_kv where api_id = p_api_id and key = any(p_keys) returning bytes
    ), counted as (
        update public.api_kv_totals
           set keys = keys - (select count(*) from gone),
               bytes = bytes - (select coalesce(sum(gone.bytes), 0) from gone)
         where api_id = p_api_id
        returning 1
    )
    select count(*)::int from gone
$$;

create function private.kv_remove_expired(p_api_id uuid) returns int
language sql set search_path = '' as $$
    select private.kv_remove(p_api_id, array(
        select key from public.api_kv where api_id = p_api_id and expires_at <= clock_timestamp()
    ))
$$;

create function private.kv_put(
    p_api_id uuid, p_key text, p_value json, p_expires_at timestamptz
) returns void
language plpgsql set search_path = '' as $$
declare
    v_bytes int := octet_length(p_key) + octet_length(p_value::text);
    v_before int;
    v_new_keys int;
    v_more int;
begin
    if octet_length(p_key) not between 1 and 512 then
        perform private.refuse(422, 'invalid_key', 'A key has 1 to 512 bytes.');
    end if;
    if octet_length(p_value::text) > 262144 then
        perform private.refuse(413, 'value_too_large', 'A value has at most 262144 bytes as JSON.');
    end if;
    select bytes into v_before from public.api_kv where api_id = p_api_id and key = p_key;
    v_new_keys := case when v_before is null then 1 else 0 end;
    v_more := v_bytes - coalesce(v_before, 0);
    if private.kv_is_over(p_api_id, v_new_keys, v_more) then
        -- this key itself is written anew, whether or not it had expired
        perform private.kv_remove(p_api_id, array(
            select key
              from public.api_kv
             where api_id = p_api_id and key <> p_key and expires_at <= clock_timestamp()
        ));
        if private.kv_is_over(p_api_id, v_new_keys, v_more) then
            perform private.refuse(
                409, 'quota_exceeded', 'An API keeps at most 10000 keys and 10 MB together.'
            );
        end if;
    end if;
    insert into public.api_kv (api_id, key, value, bytes, expires_at, updated_at)
    values (p_api_id, p_key, p_value, v_bytes, p_expires_at, clock_timestamp())
    on conflict (api_id, key) do update
       set value = excluded.value, bytes = excluded.bytes, expires_at = excluded.expires_at,
           updated_at = excluded.updated_at;
    update public.api_kv_totals
       set keys = keys + v_new_keys, bytes = bytes + v_more
     where api_id = p_api_id;
end
$$;

-- Whether so many keys and bytes more are too many; giving back is always allowed.
create function private.kv_is_over(p_api_id uuid, p_keys int, p_bytes int) returns boolean
language sql stable set search_path = '' as $$
    select (p_keys > 0 and keys + p_keys > 10000) or (p_bytes > 0 and bytes + p_bytes > 10000000)
      from public.api_kv_totals
     where api_id = p_api_id
$$;

-- Equal as JSON; what jsonb cannot hold is compared as text.
create function private.kv_equal(p_one json, p_other json) returns boolean
language plpgsql immutable set search_path = '' as $$
begin
    return p_one::jsonb = p_other::jsonb;
exception
    when data_exception then
        return p_one::text = p_other::text;
end
$$;

-- --- what the data server calls -----------------------------------------------------------

create function public.kv_get(p_api_id uuid, p_key text) returns json
language sql stable set search_path = '' as $$
    select json_build_object('value', value)
      from public.api_kv
     where api_id = p_api_id and key = p_key
       and (expires_at is null or expires_at > clock_timestamp())
$$;

-- Values are JSON as text. Answers whether it was stored: with `p_if_absent` only when nothing
-- is there, with `p_if_equals` only when that very value is.
create function public.kv_set(
    p_api_id uuid,
    p_key text,
    p_value text,
    p_ttl double precision default null,
    p_if_absent boolean default false,
    p_if_equals text default null
) returns boolean
language plpgsql set search_path = '' as $$
declare
    v_old json;
begin
    perform private.kv_lock_or_refuse(p_api_id);
    select value into v_old
      from public.api_kv
     where api_id = p_api_id and key = p_key
       and (expires_at is null or expires_at > clock_timestamp());
    if p_if_absent and v_old is not null then
        return false;
    end if;
    if p_if_equals is not null
        and (v_old is null or not private.kv_equal(v_old, p_if_equals::json))
    then
        return false;
    end if;
    perform private.kv_put(
        p_api_id, p_key, p_value::json, clock_timestamp() + make_interval(secs => p_ttl)
    );
    return true;
end
$$;

-- Answers whether something was there.
create function public.kv_delete(p_api_id uuid, p_key text) returns boolean
language plpgsql set search_path = '' as $$
declare
    v_was_there boolean;
begin
    perform private.kv_lock_or_refuse(p_api_id);
    v_was_there := public.kv_get(p_api_id, p_key) is not null;
    perform private.kv_remove(p_api_id, array[p_key]);
    return v_was_there;
end
$$;

-- Adds to a whole number; one that is not there is 0 and gets `p_ttl`, others keep theirs.
create function public.kv_increment(
    p_api_id uuid, p_key text, p_by bigint default 1, p_ttl double precision default null
) returns bigint
language plpgsql set search_path = '' as $$
declare
    v_old record;
    v_new numeric := p_by;
    v_expires_at timestamptz := clock_timestamp() + make_interval(secs => p_ttl);
begin
    perform private.kv_lock_or_refuse(p_api_id);
    select value::text as value, expires_at into v_old
      from public.api_kv
     where api_id = p_api_id and key = p_key
       and (expires_at is null or expires_at > clock_timestamp());
    if found then
        if v_old.value !~ '^-?[0-9]{1,19}$' then
            perform private.refuse(409, 'not_an_integer', 'The value is not a whole number.');
        end if;
        v_new := v_old.value::numeric + p_by;
        v_expires_at := v_old.expires_at;
    end if;
    if v_new not between -9223372036854775808 and 9223372036854775807 then
        perform private.refuse(409, 'out_of_range', 'The number would be out of range.');
    end if;
    perform private.kv_put(p_api_id, p_key, v_new::text::json, v_expires_at);
    return v_new;
end
$$;

-- Keys after `p_after` in the order of their bytes; with values at most about a megabyte.
create function public.kv_list(
    p_api_id uuid,
    p_prefix text default '',
    p_after text default '',
    p_limit int default 100,
    p_values boolean default false
) returns json
language sql stable set search_path = '' as $$
    with found as (
        select key, value, bytes
          from public.api_kv
         where api_id = p_api_id and key > p_after and starts_with(key, p_prefix)
           and (expires_at is null or expires_at > clock_timestamp())
         order by key
         limit least(p_limit, 1000) + 1
    ), numbered as (
        select *, row_number() over by_key as n, sum(bytes) over by_key - bytes as before
          from found
        window by_key as (order by key)
    ), page as (
        select *
          from numbered
         where n <= least(p_limit, 1000) and (not p_values or before < 1000000)
    )
    select json_build_object(
        'keys', coalesce((select json_agg(key order by key) from page), '[]'),
        'values', case
            when p_values then coalesce((select json_agg(value order by key) from page), '[]')
        end,
        'is_complete', (select count(*) from found) = (select count(*) from page)
    )
$$;

-- Removes what has expired, of so many APIs; answers how many keys that were.
create function public.kv_purge(p_apis int default 100) returns int
language plpgsql set search_path = '' as $$
declare
    v_api_id uuid;
    v_gone int := 0;
begin
    for v_api_id in
        select distinct api_id
          from public.api_kv
         where expires_at <= clock_timestamp()
         order by api_id
         limit p_apis
    loop
        if private.kv_lock(v_api_id) then
            v_gone := v_gone + private.kv_remove_expired(v_api_id);
        end if;
    end loop;
    return v_gone;
end
$$;

revoke all on function
    private.kv_lock, private.kv_lock_or_refuse, private.kv_remove, private.kv_remove_expired,
    private.kv_put, private.kv_is_over, private.kv_equal, public.kv_get, public.kv_set,
    public.kv_delete, public.kv_increment, public.kv_list, public.kv_purge
    from public, anon, authenticated;
grant execute on function
    private.kv_lock, private.kv_lock_or_refuse, private.kv_remove, private.kv_remove_expired,
    private.kv_put, private.kv_is_over, private.kv_equal, public.kv_get, public.kv_set,
    public.kv_delete, public.kv_increment, public.kv_list, public.kv_purge
    to service_role;
