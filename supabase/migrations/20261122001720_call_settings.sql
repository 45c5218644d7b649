-- How calls of an API are treated on their way: CORS, cache, bounds, streams, documents, price.

create function private.is_whole(p jsonb, p_low numeric, p_high numeric) returns boolean
language sql immutable set search_path = '' as $$
    select case
        when jsonb_typeof(p) = 'number'
        then (p #>> '{}')::numeric % 1 = 0 and (p #>> '{}')::numeric between p_low and p_high
        else false
    end
$$;

-- A list of short printable words without spaces, commas or quotes: they end up in headers.
create function private.is_words(p jsonb, p_most int) returns boolean
language sql immutable set search_path = '' as $$
    select case
        when jsonb_typeof(p) = 'array'
        then jsonb_array_length(p) <= p_most and not exists (
            select
              from jsonb_array_elements(p) as entry
             where jsonb_typeof(entry.value) <> 'string'
                or entry.value #>> '{}' !~ '^[!-~]{1,255}$'
                or entry.value #>> '{}' ~ '[",]'
        )
        else false
    end
$$;

-- {"origins": ["*"], "methods": ["GET"], "headers": ["*"], "expose": [], "credentials": false,
--  "max_age": 600}
create function private.valid_cors(p jsonb) returns boolean
language sql immutable set search_path = '' as $$
    select case
        when jsonb_typeof(p) = 'object'
        then p - array['origins', 'methods', 'headers', 'expose', 'credentials', 'max_age'] = '{}'
            and coalesce(private.is_words(p -> 'origins', 50), false)
            and jsonb_array_length(p -> 'origins') > 0
            and coalesce(private.is_words(p -> 'methods', 20), false)
            and coalesce(private.is_words(p -> 'headers', 50), false)
            and coalesce(private.is_words(p -> 'expose', 50), false)
            and coalesce(jsonb_typeof(p -> 'credentials') = 'boolean', false)
            and coalesce(private.is_whole(p -> 'max_age', 0, 86400), false)
            and not (p -> 'origins' ? '*' and p -> 'credentials' = 'true')
        else false
    end
$$;

create function private.valid_websocket(p jsonb) returns boolean
language sql immutable set search_path = '' as $$
    select case
        when jsonb_typeof(p) = 'object'
        then p - array[
                'enabled', 'message_bytes', 'idle_seconds', 'total_seconds', 'limit_messages'
            ] = '{}'
            and coalesce(jsonb_typeof(p -> 'enabled') = 'boolean', false)
            and coalesce(private.is_whole(p -> 'message_bytes', 1, 16777216), false)
            and coalesce(private.is_whole(p -> 'idle_seconds', 1, 3600), false)
            and coalesce(private.is_whole(p -> 'total_seconds', 1, 86400), false)
            and coalesce(jsonb_typeof(p -> 'limit_messages') = 'boolean', false)
        else false
    end
$$;

create function private.valid_streams(p jsonb) returns boolean
language sql immutable set search_path = '' as $$
    select case
        when jsonb_typeof(p) = 'object'
        then p - array['idle_seconds', 'total_seconds'] = '{}'
            and coalesce(private.is_whole(p -> 'idle_seconds', 1, 3600), false)
            and coalesce(private.is_whole(p -> 'total_seconds', 1, 86400), false)
        else false
    end
$$;

-- Absent members have their defaults (gateway/store/call_settings.py); objects are complete.
create function private.valid_call_settings(p jsonb) returns boolean
language sql immutable set search_path = '' as $$
    select case
        when jsonb_typeof(p) = 'object'
        then p - array[
                'cors', 'cache', 'max_concurrency', 'queue', 'websocket', 'streams', 'documents',
                'validate'
            ] = '{}'
            and (not p ? 'cors' or private.valid_cors(p -> 'cors'))
            and (not p ? 'cache' or jsonb_typeof(p -> 'cache') = 'boolean')
            and (not p ? 'max_concurrency' or private.is_whole(p -> 'max_concurrency', 1, 10000))
            and (not p ? 'queue' or private.is_whole(p -> 'queue', 0, 1000))
            and (not p ? 'documents' or coalesce(p ->> 'documents', '') in ('key', 'public', 'off'))
            and (not p ? 'validate' or jsonb_typeof(p -> 'validate') = 'boolean')
            and (not p ? 'websocket' or private.valid_websocket(p -> 'websocket'))
            and (not p ? 'streams' or private.valid_streams(p -> 'streams'))
        else false
    end
$$;

-- `price_nano_usd` is what one call costs whoever is not of the API's own tenant.
alter table public.apis
    add column call_settings jsonb not null default '{}'
        constraint apis_call_settings_check check (private.valid_call_settings(call_settings)),
    add column price_nano_usd bigint not null default 0
        constraint apis_price_nano_usd_check check (price_nano_usd between 0 and 1000000000000);

-- --- creating and changing ---------------------------------------------------------------------

create or replace function public.create_api(p jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_id uuid := p ->> 'id';
    v_version uuid := p ->> 'version_id';
    v_tenant public.tenants;
    v_actor uuid := p ->> 'created_by';
    v_constraint text;
begin
    select * into v_tenant from public.tenants where id = (p ->> 'tenant_id')::uuid for key share;
    if not found then
        perform private.refuse(404, 'tenant_not_found', 'There is no such tenant.');
    elsif v_tenant.status <> 'active' then
        perform private.refuse(403, 'tenant_suspended', 'The tenant is suspended.');
    elsif exists (select from public.api_versions where id = v_version and api_id = v_id and n = 1) then
        return private.api_json(v_id);  -- the same request once more
    end if;
    begin
        insert into public.apis (
            id, tenant_id, created_by, slug, name, description, limits, resources,
            egress, tier, instances, call_settings, price_nano_usd
        )
        values (
            v_id, v_tenant.id, v_actor, p ->> 'slug', p ->> 'name',
            coalesce(p ->> 'description', ''),
            coalesce(nullif(p -> 'limits', 'null'), '{}'),
            coalesce(nullif(p -> 'resources', 'null'), '{}'),
            coalesce(nullif(p -> 'egress', 'null'), '{"hosts": []}'),
            p ->> 'tier',
            coalesce(
                nullif(p -> 'instances', 'null'), '{"min": 0, "max": 1, "concurrency": 100}'
            ),
            coalesce(nullif(p -> 'call_settings', 'null'), '{}'),
            coalesce((p ->> 'price_nano_usd')::bigint, 0)
        );
    exception
        when unique_violation then
            get stacked diagnostics v_constraint = constraint_name;
            perform case v_constraint
                when 'apis_tenant_id_name_key' then private.refuse(
                    409, 'name_taken', 'Another API of this tenant has this name.'
                )
                when 'apis_slug_key' then private.refuse(
                    409, 'slug_taken', 'Another API has this slug.'
                )
                else private.refuse(409, 'id_taken', 'Another API has this id.')
            end;
    end;
    insert into public.api_versions (id, api_id, n, code, digest, lock, layer, created_by)
    values (
        v_version, v_id, 1, p ->> 'code', p ->> 'digest',
        coalesce(p ->> 'lock', ''), coalesce(p ->> 'layer', ''), v_actor
    );
    perform private.deploy(v_id, v_version, 100, v_actor);
    if p ->> 'key_id' is not null then
        insert into public.consumer_api_keys (id, tenant_id, created_by, name, key_hash, display)
        values (
            (p ->> 'key_id')::uuid, v_tenant.id, v_actor, p ->> 'name',
            p ->> 'key_hash', p ->> 'key_display'
        );
        insert into public.consumer_api_key_apis (key_id, api_id)
        values ((p ->> 'key_id')::uuid, v_id);
    end if;
    perform private.audit(
        v_actor, 'api.create', 'api', v_id::text,
        jsonb_build_object('name', p -> 'name', 'slug', p -> 'slug', 'tenant_id', v_tenant.id)
    );
    return private.api_json(v_id);
end
$$;

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
               call_settings = coalesce(p -> 'call_settings', call_settings),
               price_nano_usd = coalesce((p ->> 'price_nano_usd')::bigint, price_nano_usd),
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

-- --- what the gateway reads --------------------------------------------------------------------

create or replace function public.gateway_route(p_ref text) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'api_id', api.id,
        'slug', api.slug,
        'tenant_id', api.tenant_id,
        'tenant_status', tenant.status,
        'status', api.status,
        'generation', api.generation,
        'limits', api.limits,
        'resources', api.resources,
        'tier', api.tier,
        'instances', api.instances,
        'call_settings', api.call_settings,
        'price_nano_usd', api.price_nano_usd,
        'versions', coalesce(
            (
                select jsonb_agg(
                    jsonb_build_object(
                        'version_id', version.id,
                        'n', version.n,
                        'weight', deployment.weight,
                        'layer', version.layer
                    )
                    order by deployment.weight desc, version.n
                )
                  from public.deployments as deployment
                  join public.api_versions as version on version.id = deployment.version_id
                 where deployment.api_id = api.id and deployment.status = 'active'
            ),
            '[]'
        )
    )
      from public.apis as api
      join public.tenants as tenant on tenant.id = api.tenant_id
     where api.slug = p_ref
        or api.id = case
            when p_ref ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then p_ref::uuid
        end
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
