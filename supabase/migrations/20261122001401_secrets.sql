-- Secrets of an API. The database holds ciphertext only; the key is the gateway's.

create table public.api_secrets (
    api_id uuid not null references public.apis on delete cascade,
    name text not null check (name ~ '^[A-Z_][A-Z0-9_]{0,63}$'),
    value bytea not null check (octet_length(value) > 0),
    bytes int not null check (bytes > 0),  -- of the value as it was given
    hosts text[] check (cardinality(hosts) between 1 and 100),
    placeholder text check (placeholder ~ '^sgph_[0-9a-f]{32}$'),
    updated_by uuid references public.user_profiles on delete set null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (api_id, name),
    check ((hosts is null) = (placeholder is null))
);
create index api_secrets_updated_by_idx on public.api_secrets (updated_by);

create trigger announce_secret after insert or update or delete on public.api_secrets
    for each row execute function private.on_cached_row_changed('api', 'api_id');

-- --- who may read -------------------------------------------------------------------------

alter table public.api_secrets enable row level security;
revoke all on public.api_secrets from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.api_secrets to service_role;
grant select (api_id, name, hosts, created_at, updated_at) on public.api_secrets to authenticated;

create policy members_read_secret_names on public.api_secrets
    for select to authenticated using (
        api_id in (
            select api.id
              from public.apis as api
              join public.tenant_members as member on member.tenant_id = api.tenant_id
             where member.user_id = (select auth.uid())
        )
    );

-- --- changing -----------------------------------------------------------------------------

-- Whether one of the allowed hosts is this one, or a wildcard above it.
create function private.egress_covers(p_hosts jsonb, p_host text) returns boolean
language sql immutable set search_path = '' as $$
    select exists (
        select
          from jsonb_array_elements_text(p_hosts) as allowed
         where allowed.value = p_host
            or left(allowed.value, 2) = '*.'
                and length(p_host) >= length(allowed.value)
                and right(p_host, length(allowed.value) - 1) = substr(allowed.value, 2)
    )
$$;

create function private.require_covered(p_hosts jsonb, p_name text, p_wanted text[]) returns void
language plpgsql set search_path = '' as $$
declare
    v_host text;
begin
    foreach v_host in array coalesce(p_wanted, '{}') loop
        if not private.egress_covers(p_hosts, v_host) then
            perform private.refuse(
                422, 'secret_host_not_allowed',
                format('The secret %s goes to %s, which the API may not connect to.', p_name, v_host)
            );
        end if;
    end loop;
end
$$;

-- Changed secrets are given to fresh sandboxes: the generation grows in the same transaction.
create function private.restart(p_api_id uuid) returns int
language sql set search_path = '' as $$
    update public.apis set generation = generation + 1 where id = p_api_id returning generation
$$;

-- p: name, value (base64 of the ciphertext), bytes, hosts, placeholder. A placeholder that the
-- code may already know stays what it is.
create function public.set_secret(p_api_id uuid, p jsonb, p_actor uuid default null)
returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_api public.apis := private.hold_api(p_api_id);
    v_hosts text[] := case jsonb_typeof(p -> 'hosts')
        when 'array' then array(select jsonb_array_elements_text(p -> 'hosts'))
    end;
    v_count int;
    v_bytes int;
    v_secret public.api_secrets;
begin
    perform private.require_covered(v_api.egress -> 'hosts', p ->> 'name', v_hosts);
    select count(*), coalesce(sum(bytes), 0) into v_count, v_bytes
      from public.api_secrets
     where api_id = v_api.id and name <> p ->> 'name';
    if v_count >= 64 then
        perform private.refuse(422, 'too_many_secrets', 'An API has at most 64 secrets.');
    elsif v_bytes + (p ->> 'bytes')::int > 48 * 1024 then
        perform private.refuse(
            422, 'too_many_secrets', 'The secrets of an API have at most 48 KiB together.'
        );
    end if;
    insert into public.api_secrets as secret
        (api_id, name, value, bytes, hosts, placeholder, updated_by)
    values (
        v_api.id, p ->> 'name', decode(p ->> 'value', 'base64'), (p ->> 'bytes')::int,
        v_hosts, p ->> 'placeholder', p_actor
    )
    on conflict (api_id, name) do update
       set value = excluded.value,
           bytes = excluded.bytes,
           hosts = excluded.hosts,
           placeholder = case
               when excluded.placeholder is not null
               then coalesce(secret.placeholder, excluded.placeholder)
           end,
           updated_by = excluded.updated_by,
           updated_at = clock_timestamp()
    returning * into v_secret;
    perform private.audit(
        p_actor, 'secret.set', 'api', v_api.id::text,
        jsonb_build_object('name', v_secret.name, 'hosts', to_jsonb(v_secret.hosts))
    );
    return jsonb_build_object(
        'name', v_secret.name,
        'hosts', to_jsonb(v_secret.hosts),
        'updated_at', v_secret.updated_at,
        'generation', private.restart(v_api.id)
    );
end
$$;

create function public.delete_secret(p_api_id uuid, p_name text, p_actor uuid default null)
returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_api public.apis := private.hold_api(p_api_id);
begin
    delete from public.api_secrets where api_id = v_api.id and name = p_name;
    if not found then
        perform private.refuse(404, 'secret_not_found', 'There is no such secret.');
    end if;
    perform private.audit(
        p_actor, 'secret.delete', 'api', v_api.id::text, jsonb_build_object('name', p_name)
    );
    return jsonb_build_object('name', p_name, 'generation', private.restart(v_api.id));
end
$$;

-- What is sealed in a sandbox of its own is decided by resources and tier: changing them is a
-- new generation. Where it may connect to is not.
create or replace function public.update_api(p_api_id uuid, p jsonb, p_actor uuid default null)
returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_api public.apis := private.hold_api(p_api_id);
    v_status text := p ->> 'status';
    v_tier text := case when p ? 'tier' then p ->> 'tier' else v_api.tier end;
    v_resources jsonb := coalesce(p -> 'resources', v_api.resources);
    v_secret record;
begin
    perform private.require_limits(p -> 'limits');
    if v_status is not null and v_status <> v_api.status then
        if 'suspended' in (v_status, v_api.status) and not private.is_admin(p_actor) then
            perform private.refuse(403, 'api_suspended', 'Only an administrator decides this.');
        end if;
        if v_status = 'active' and not exists (
            select from public.deployments where api_id = v_api.id and status = 'active'
        ) then
            perform private.refuse(409, 'not_deployed', 'No version of this API is deployed.');
        end if;
    end if;
    if p ? 'egress' then
        for v_secret in
            select name, hosts from public.api_secrets where api_id = v_api.id order by name
        loop
            perform private.require_covered(p -> 'egress' -> 'hosts', v_secret.name, v_secret.hosts);
        end loop;
    end if;
    begin
        update public.apis
           set name = coalesce(p ->> 'name', name),
               description = coalesce(p ->> 'description', description),
               status = coalesce(v_status, status),
               limits = coalesce(p -> 'limits', limits),
               resources = v_resources,
               egress = coalesce(p -> 'egress', egress),
               tier = v_tier,
               instances = coalesce(p -> 'instances', instances),
               generation = generation + case
                   when (v_tier, v_resources) is distinct from (v_api.tier, v_api.resources)
                   then 1 else 0
               end
         where id = v_api.id;
    exception
        when unique_violation then
            perform private.refuse(409, 'name_taken', 'Another API of this tenant has this name.');
    end;
    perform private.audit(
        p_actor, 'api.update', 'api', v_api.id::text,
        case when p ? 'tier' then p || jsonb_build_object('tier', coalesce(v_tier, 'any')) else p end
    );
    return private.api_json(v_api.id);
end
$$;

-- --- what the gateway reads ---------------------------------------------------------------

create function private.secrets_json(p_api_id uuid) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(
        jsonb_agg(
            jsonb_build_object(
                'name', name,
                'value', translate(encode(value, 'base64'), E'\n', ''),
                'hosts', hosts,
                'placeholder', placeholder
            )
            order by name
        ),
        '[]'
    )
      from public.api_secrets
     where api_id = p_api_id
$$;

-- What a sandbox of this version is given; the secrets as ciphertext in base64.
create function public.gateway_bundle(p_version_id uuid) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'api_id', version.api_id,
        'code', version.code,
        'lock', version.lock,
        'egress', api.egress,
        'secrets', private.secrets_json(api.id)
    )
      from public.api_versions as version
      join public.apis as api on api.id = version.api_id
     where version.id = p_version_id
$$;

-- The same without a version, for code that is not stored yet.
create function public.gateway_surroundings(p_api_id uuid) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object('egress', egress, 'secrets', private.secrets_json(id))
      from public.apis
     where id = p_api_id
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
