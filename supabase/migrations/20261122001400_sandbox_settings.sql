-- How the sandboxes of an API are kept: where they may connect to, how strongly they are
-- isolated, how many there may be, and which dependencies each version brings along.

-- {"hosts": ["api.example.com", "*.example.org", "db.example.net:5432", "[2606:4700::1]:443"]}
-- The gateway checks every name; this holds against what could never be one.
create function private.valid_egress(p_egress jsonb) returns boolean
language sql immutable set search_path = '' as $$
    select case
        when jsonb_typeof(p_egress) = 'object' and jsonb_typeof(p_egress -> 'hosts') = 'array'
        then p_egress - 'hosts' = '{}'
            and jsonb_array_length(p_egress -> 'hosts') <= 100
            and not exists (
                select
                  from jsonb_array_elements(p_egress -> 'hosts') as entry
                 where jsonb_typeof(entry.value) <> 'string'
                    or entry.value #>> '{}' !~ '^[a-z0-9_*.:[\]-]+$'
                    or length(entry.value #>> '{}') > 262
            )
        else false
    end
$$;

-- {"min": 0, "max": 1, "concurrency": 100}
create function private.valid_instances(p_instances jsonb) returns boolean
language sql immutable set search_path = '' as $$
    select case
        when jsonb_typeof(p_instances -> 'min') = 'number'
            and jsonb_typeof(p_instances -> 'max') = 'number'
            and jsonb_typeof(p_instances -> 'concurrency') = 'number'
        then p_instances - array['min', 'max', 'concurrency'] = '{}'
            and (p_instances ->> 'min')::numeric % 1 = 0
            and (p_instances ->> 'max')::numeric % 1 = 0
            and (p_instances ->> 'concurrency')::numeric % 1 = 0
            and (p_instances ->> 'max')::numeric between 1 and 10
            and (p_instances ->> 'min')::numeric between 0 and (p_instances ->> 'max')::numeric
            and (p_instances ->> 'concurrency')::numeric between 1 and 1000
        else false
    end
$$;

-- `tier` is the weakest that will do; null asks for nothing.
alter table public.apis
    add column egress jsonb not null default '{"hosts": []}'
        constraint apis_egress_check check (private.valid_egress(egress)),
    add column tier text
        constraint apis_tier_check check (tier in ('vm', 'gvisor', 'runc', 'bwrap')),
    add column instances jsonb not null default '{"min": 0, "max": 1, "concurrency": 100}'
        constraint apis_instances_check check (private.valid_instances(instances));

-- `lock` is what the dependencies were resolved to, `layer` the digest of their files.
alter table public.api_versions
    add column lock text not null default '',
    add column layer text not null default '' check (layer ~ '^[0-9a-zA-Z:_-]{0,200}$');

drop trigger version_is_immutable on public.api_versions;
create trigger version_is_immutable
    before update of id, api_id, n, code, digest, lock, layer, created_at on public.api_versions
    for each row execute function private.on_version_changed();

-- --- creating -----------------------------------------------------------------------------

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
            egress, tier, instances
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
            )
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

create or replace function public.add_version(p jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_api public.apis := private.hold_api((p ->> 'api_id')::uuid);
    v_id uuid := p ->> 'version_id';
    v_actor uuid := p ->> 'created_by';
    v_deploy boolean := coalesce((p ->> 'deploy')::boolean, true);
    v_n int;
begin
    select n into v_n from public.api_versions where id = v_id and api_id = v_api.id;
    if not found then
        select coalesce(max(n), 0) + 1 into v_n from public.api_versions where api_id = v_api.id;
        insert into public.api_versions (id, api_id, n, code, digest, lock, layer, created_by)
        values (
            v_id, v_api.id, v_n, p ->> 'code', p ->> 'digest',
            coalesce(p ->> 'lock', ''), coalesce(p ->> 'layer', ''), v_actor
        );
        perform private.audit(
            v_actor, 'version.create', 'api', v_api.id::text, jsonb_build_object('version', v_n)
        );
        if v_deploy then
            perform private.deploy(v_api.id, v_id, 100, v_actor);
            perform private.audit(
                v_actor, 'api.deploy', 'api', v_api.id::text,
                jsonb_build_object('version', v_n, 'weight', 100)
            );
        end if;
    end if;
    return jsonb_build_object('n', v_n, 'version_id', v_id, 'deployed', v_deploy);
end
$$;

-- --- what the gateway reads ---------------------------------------------------------------

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

create or replace function public.gateway_version(p_api_id uuid, p_n int) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object('version_id', id, 'n', n, 'layer', layer)
      from public.api_versions
     where api_id = p_api_id and n = p_n
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
