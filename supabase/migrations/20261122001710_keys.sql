-- Keys: what each may do, from where, until when, and what took its place.

-- Written patterns of paths that could be read in two ways are no patterns.
create function private.valid_scope_path(p_path text) returns boolean
language sql immutable set search_path = '' as $$
    select char_length(p_path) <= 256
       and regexp_replace(p_path, '/\*$', '/') ~ '^/[A-Za-z0-9._~!$&''()+,;=:@%/-]*$'
       and p_path !~* '//|/\.{1,2}([;/]|$)|%(25)*(2e|2f|5c|0|1|7f)'
$$;

-- {"methods": [...], "paths": [...]}, each of them absent or not empty
create function private.valid_scopes(p_scopes jsonb) returns boolean
language sql immutable set search_path = '' as $$
    select jsonb_typeof(p_scopes) = 'object' and not exists (
        select
          from jsonb_each(case when jsonb_typeof(p_scopes) = 'object' then p_scopes end) as entry
         where entry.key not in ('methods', 'paths')
            or jsonb_typeof(entry.value) <> 'array'
            or jsonb_array_length(
                case when jsonb_typeof(entry.value) = 'array' then entry.value end
            ) not between 1 and 50
            or exists (
                select
                  from jsonb_array_elements(
                    case when jsonb_typeof(entry.value) = 'array' then entry.value end
                  ) as item
                 where jsonb_typeof(item) <> 'string'
                    or not case entry.key
                        when 'methods' then item #>> '{}' ~ '^[A-Z]{1,20}$'
                        else private.valid_scope_path(item #>> '{}')
                    end
            )
    )
$$;

-- `root_id` is the first key of a chain of rotations: what all of them together have used
-- counts under it. `generation` rises with every change that a gateway may have cached.
alter table public.consumer_api_keys
    add column scopes jsonb not null default '{}' check (private.valid_scopes(scopes)),
    add column allowed_addresses cidr[] not null default '{}'
        check (cardinality(allowed_addresses) <= 100),
    add column ends_at timestamptz,
    add column replaced_by uuid references public.consumer_api_keys on delete set null,
    add column root_id uuid,
    add column generation int not null default 1,
    add column revoked_reason text check (char_length(revoked_reason) <= 500),
    add constraint consumer_api_keys_ends_before_it_expires check (ends_at <= expires_at);
create index consumer_api_keys_replaced_by_idx on public.consumer_api_keys (replaced_by);
grant select (
    scopes, allowed_addresses, ends_at, replaced_by, root_id, generation, revoked_reason
) on public.consumer_api_keys to authenticated;

-- --- what must never happen, and what is announced -------------------------------------------

create function private.on_key_changing() returns trigger
language plpgsql set search_path = '' as $$
begin
    if old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at then
        perform private.refuse(409, 'key_revoked', 'A revoked key stays revoked.');
    elsif old.ends_at is not null and (new.ends_at is null or new.ends_at > old.ends_at) then
        perform private.refuse(409, 'key_replaced', 'The end of a replaced key stays.');
    end if;
    if new.revoked_at is not null then
        new.revoked_reason := coalesce(new.revoked_reason, 'nothing is left that it opened');
    end if;
    new.generation := old.generation + 1;
    return new;
end
$$;
create trigger guard_key
    before update of
        tenant_id, key_hash, limits, expires_at, revoked_at, scopes, allowed_addresses, ends_at
    on public.consumer_api_keys
    for each row execute function private.on_key_changing();

create function private.on_key_api_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update public.consumer_api_keys set generation = generation + 1
     where id = case when tg_op = 'DELETE' then old.key_id else new.key_id end;
    return null;
end
$$;
create trigger count_key_api after insert or delete on public.consumer_api_key_apis
    for each row execute function private.on_key_api_changed();

drop trigger announce_key on public.consumer_api_keys;
create trigger announce_key
    after insert or delete or update of
        tenant_id, key_hash, limits, expires_at, revoked_at, scopes, allowed_addresses, ends_at
    on public.consumer_api_keys
    for each row execute function private.on_cached_row_changed('key', 'id');

-- --- what the gateway reads --------------------------------------------------------------------

create or replace function public.gateway_key(p_key_hash text) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'key_id', key.id,
        'root_id', coalesce(key.root_id, key.id),
        'generation', key.generation,
        'tenant_id', key.tenant_id,
        'tenant_status', tenant.status,
        'plan', tenant.plan,
        'plan_limits', plan.limits,
        'tenant_limits', tenant.limits,
        'limits', key.limits,
        'scopes', key.scopes,
        'allowed_addresses', to_jsonb(key.allowed_addresses),
        'api_ids', coalesce(
            (
                select jsonb_agg(link.api_id order by link.api_id)
                  from public.consumer_api_key_apis as link
                 where link.key_id = key.id
            ),
            '[]'
        ),
        'expires_at', key.expires_at,
        'ends_at', key.ends_at,
        'revoked_at', key.revoked_at
    )
      from public.consumer_api_keys as key
      join public.tenants as tenant on tenant.id = key.tenant_id
      join public.plans as plan on plan.name = tenant.plan
     where key.key_hash = p_key_hash
$$;

-- --- what changes them -----------------------------------------------------------------------

create function private.cidrs(p_addresses jsonb) returns cidr[]
language plpgsql stable set search_path = '' as $$
begin
    return array(
        select value::cidr
          from jsonb_array_elements_text(coalesce(nullif(p_addresses, 'null'), '[]'))
    );
exception
    when data_exception or invalid_parameter_value then
        perform private.refuse(
            422, 'invalid_addresses', 'Addresses are a list of networks like 192.0.2.0/24.'
        );
        return null;
end
$$;

create function private.require_scopes(p_scopes jsonb) returns void
language plpgsql set search_path = '' as $$
begin
    if p_scopes is not null and not private.valid_scopes(p_scopes) then
        perform private.refuse(
            422, 'invalid_scopes', 'Scopes are methods and paths, such as "GET" and "/items/*".'
        );
    end if;
end
$$;

create or replace function public.create_key(p jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_id uuid := p ->> 'id';
    v_tenant uuid := p ->> 'tenant_id';
    v_actor uuid := p ->> 'created_by';
    v_wanted int;
    v_linked int;
begin
    if not exists (select from public.tenants where id = v_tenant) then
        perform private.refuse(404, 'tenant_not_found', 'There is no such tenant.');
    elsif exists (
        select from public.consumer_api_keys
         where id = v_id and tenant_id = v_tenant and key_hash = p ->> 'key_hash'
    ) then
        return private.key_json(v_id);  -- the same request once more
    end if;
    perform private.require_limits(nullif(p -> 'limits', 'null'));
    perform private.require_scopes(nullif(p -> 'scopes', 'null'));
    begin
        insert into public.consumer_api_keys (
            id, tenant_id, created_by, name, key_hash, display, limits, scopes, allowed_addresses,
            expires_at
        )
        values (
            v_id, v_tenant, v_actor, p ->> 'name', p ->> 'key_hash', p ->> 'display',
            coalesce(nullif(p -> 'limits', 'null'), '{}'),
            coalesce(nullif(p -> 'scopes', 'null'), '{}'),
            private.cidrs(p -> 'allowed_addresses'), (p ->> 'expires_at')::timestamptz
        );
    exception
        when unique_violation then
            perform private.refuse(409, 'key_exists', 'This request has already made its key.');
    end;
    select count(distinct value) into v_wanted
      from jsonb_array_elements_text(coalesce(nullif(p -> 'api_ids', 'null'), '[]'));
    insert into public.consumer_api_key_apis (key_id, api_id)
    select v_id, api.id
      from public.apis as api
     where api.id in (select value::uuid from jsonb_array_elements_text(p -> 'api_ids'))
       and (api.tenant_id = v_tenant or api.is_published);
    get diagnostics v_linked = row_count;
    if v_wanted = 0 then
        perform private.refuse(422, 'key_without_api', 'A key opens at least one API.');
    elsif v_linked <> v_wanted then
        perform private.refuse(404, 'api_not_found', 'There is no such API.');
    end if;
    perform private.audit(
        v_actor, 'key.create', 'key', v_id::text,
        jsonb_build_object('name', p -> 'name', 'api_ids', p -> 'api_ids')
    );
    return private.key_json(v_id);
end
$$;

create function private.hold_key(p_key_id uuid) returns public.consumer_api_keys
language plpgsql set search_path = '' as $$
declare
    v_key public.consumer_api_keys;
begin
    select * into v_key from public.consumer_api_keys where id = p_key_id for update;
    if not found then
        perform private.refuse(404, 'key_not_found', 'There is no such key.');
    end if;
    return v_key;
end
$$;

-- Absent members stay as they are; `expires_at` null means that it never expires.
create function public.update_key(p_key_id uuid, p jsonb, p_actor uuid default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_key public.consumer_api_keys := private.hold_key(p_key_id);
    v_expires_at timestamptz := v_key.expires_at;
begin
    if v_key.revoked_at is not null then
        perform private.refuse(409, 'key_revoked', 'A revoked key cannot be changed.');
    end if;
    perform private.require_limits(p -> 'limits');
    perform private.require_scopes(p -> 'scopes');
    if p ? 'expires_at' then
        v_expires_at := (p ->> 'expires_at')::timestamptz;
    end if;
    update public.consumer_api_keys
       set name = coalesce(p ->> 'name', name),
           limits = coalesce(p -> 'limits', limits),
           scopes = coalesce(p -> 'scopes', scopes),
           allowed_addresses = case
               when p ? 'allowed_addresses' then private.cidrs(p -> 'allowed_addresses')
               else allowed_addresses
           end,
           expires_at = v_expires_at,
           ends_at = case when ends_at is not null then least(ends_at, v_expires_at) end
     where id = p_key_id;
    perform private.audit(p_actor, 'key.update', 'key', p_key_id::text, p);
    return private.key_json(p_key_id);
end
$$;

-- The successor opens, may and is limited to the same; the old key goes on for the overlap,
-- never longer than it would have.
create function public.rotate_key(p jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_old public.consumer_api_keys := private.hold_key((p ->> 'key_id')::uuid);
    v_new uuid := p ->> 'id';
    v_actor uuid := p ->> 'actor';
    v_seconds int := p ->> 'overlap_seconds';
begin
    if v_old.replaced_by = v_new then
        return private.key_json(v_new);  -- the same request once more
    elsif v_old.revoked_at is not null then
        perform private.refuse(409, 'key_revoked', 'This key was revoked. Create a new one.');
    elsif v_old.expires_at <= now() then
        perform private.refuse(409, 'key_expired', 'This key has expired. Create a new one.');
    elsif v_old.ends_at is not null then
        perform private.refuse(
            409, 'key_replaced',
            format('This key was rotated already. Rotate its successor %s.', v_old.replaced_by)
        );
    end if;
    insert into public.consumer_api_keys (
        id, tenant_id, created_by, name, key_hash, display, limits, scopes, allowed_addresses,
        expires_at, root_id
    )
    values (
        v_new, v_old.tenant_id, v_actor, v_old.name, p ->> 'key_hash', p ->> 'display',
        v_old.limits, v_old.scopes, v_old.allowed_addresses, v_old.expires_at,
        coalesce(v_old.root_id, v_old.id)
    );
    insert into public.consumer_api_key_apis (key_id, api_id)
    select v_new, api_id from public.consumer_api_key_apis where key_id = v_old.id;
    update public.consumer_api_keys
       set ends_at = least(now() + make_interval(secs => v_seconds), expires_at),
           replaced_by = v_new
     where id = v_old.id;
    perform private.audit(
        v_actor, 'key.rotate', 'key', v_old.id::text,
        jsonb_build_object('replaced_by', v_new, 'overlap_seconds', v_seconds)
    );
    return private.key_json(v_new);
end
$$;

create or replace function public.revoke_key(p_key_id uuid, p_actor uuid default null)
returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_key public.consumer_api_keys := private.hold_key(p_key_id);
begin
    if v_key.revoked_at is null then
        update public.consumer_api_keys
           set revoked_at = now(), revoked_reason = 'revoked by hand'
         where id = p_key_id;
        perform private.audit(p_actor, 'key.revoke', 'key', p_key_id::text);
    end if;
    return private.key_json(p_key_id);
end
$$;

-- Who can name a key has it, and so may anybody: it is revoked. Answers the ids of those
-- that were. Which of the others exist stays in here.
create function public.report_leaked_keys(p_reports jsonb, p_reporter text) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_gone jsonb;
begin
    with reported as (
        select distinct on (report ->> 'key_hash')
               report ->> 'key_hash' as key_hash, report ->> 'found_at' as found_at
          from jsonb_array_elements(p_reports) as report
    ), held as (
        select key.id, reported.found_at
          from public.consumer_api_keys as key
          join reported on reported.key_hash = key.key_hash
         where key.revoked_at is null
         order by key.id
           for update of key
    ), gone as (
        update public.consumer_api_keys as key
           set revoked_at = now(),
               revoked_reason = left(concat_ws(
                   '', 'reported as leaked by ', p_reporter, ': ' || held.found_at
               ), 500)
          from held
         where held.id = key.id
        returning key.id, key.revoked_reason
    ), audited as (
        insert into public.audit_log (actor, action, target_type, target_id, detail)
        select 'leak report', 'key.revoke', 'key', id::text,
               jsonb_build_object('reason', revoked_reason)
          from gone
    )
    select coalesce(jsonb_agg(id order by id), '[]') into v_gone from gone;
    return v_gone;
end
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
