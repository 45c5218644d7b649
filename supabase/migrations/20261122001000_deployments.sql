-- Creating an API, adding versions, and moving traffic between them.

create function private.api_json(p_api_id uuid) returns jsonb
language sql stable set search_path = '' as $$
    select to_jsonb(api) || jsonb_build_object(
        'version', (select (live.value ->> 'version')::int from jsonb_array_elements(live) as live limit 1),
        'deployments', live
    )
      from public.apis as api
     cross join lateral (
        select coalesce(
            jsonb_agg(
                jsonb_build_object(
                    'version', version.n, 'version_id', version.id, 'weight', deployment.weight
                )
                order by deployment.weight desc, version.n
            ),
            '[]'
        ) as live
          from public.deployments as deployment
          join public.api_versions as version on version.id = deployment.version_id
         where deployment.api_id = api.id and deployment.status = 'active'
     ) as active
     where api.id = p_api_id
$$;

create function private.deployment_json(p_id uuid) returns jsonb
language sql stable set search_path = '' as $$
    select to_jsonb(deployment) || jsonb_build_object('version', version.n)
      from public.deployments as deployment
      join public.api_versions as version on version.id = deployment.version_id
     where deployment.id = p_id
$$;

-- Takes the API for this transaction, so that changes of one API happen one after the other.
create function private.hold_api(p_api_id uuid) returns public.apis
language plpgsql set search_path = '' as $$
declare
    v_api public.apis;
begin
    select * into v_api from public.apis where id = p_api_id for update;
    if not found then
        perform private.refuse(404, 'api_not_found', 'There is no such API.');
    end if;
    return v_api;
end
$$;

-- Lets a version answer all calls, or a share of them beside the version that answers most.
-- The caller holds the API.
create function private.deploy(p_api_id uuid, p_version_id uuid, p_weight int, p_actor uuid)
returns uuid
language plpgsql set search_path = '' as $$
declare
    v_full public.deployments;  -- the full deployment in effect, also while a share is tried
    v_partner uuid;
    v_previous uuid;
    v_id uuid;
begin
    if p_weight is null or p_weight not between 1 and 100 then
        perform private.refuse(422, 'invalid_weight', 'A weight is a whole number from 1 to 100.');
    end if;
    select base.* into v_full
      from public.deployments as active
      join public.deployments as base
        on base.id = case when active.weight = 100 then active.id else active.previous_id end
     where active.api_id = p_api_id and active.status = 'active'
     limit 1;
    select version_id into v_partner
      from public.deployments
     where api_id = p_api_id and status = 'active' and version_id <> p_version_id
     order by weight desc, version_id = v_full.version_id desc
     limit 1;
    if p_weight < 100 and v_partner is null then
        perform private.refuse(
            409, 'nothing_to_share_with', 'No other version is deployed that could take the rest.'
        );
    end if;

    update public.deployments set status = 'replaced'
     where api_id = p_api_id and status = 'active';
    if p_weight < 100 then
        v_previous := v_full.id;
        insert into public.deployments (api_id, version_id, weight, previous_id, created_by)
        values (p_api_id, v_partner, 100 - p_weight, v_full.id, p_actor);
    else
        v_previous := case
            when v_full.version_id = p_version_id then v_full.previous_id else v_full.id
        end;
    end if;
    insert into public.deployments (api_id, version_id, weight, previous_id, created_by)
    values (p_api_id, p_version_id, p_weight, v_previous, p_actor)
    returning id into v_id;
    update public.apis set status = 'active'
     where id = p_api_id and status in ('draft', 'building', 'failed');
    return v_id;
end
$$;

create function public.create_api(p jsonb) returns jsonb
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
        insert into public.apis (id, tenant_id, created_by, slug, name, description, limits, resources)
        values (
            v_id, v_tenant.id, v_actor, p ->> 'slug', p ->> 'name',
            coalesce(p ->> 'description', ''),
            coalesce(nullif(p -> 'limits', 'null'), '{}'),
            coalesce(nullif(p -> 'resources', 'null'), '{}')
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
    insert into public.api_versions (id, api_id, n, code, digest, created_by)
    values (v_version, v_id, 1, p ->> 'code', p ->> 'digest', v_actor);
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

create function public.add_version(p jsonb) returns jsonb
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
        insert into public.api_versions (id, api_id, n, code, digest, created_by)
        values (v_id, v_api.id, v_n, p ->> 'code', p ->> 'digest', v_actor);
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

create function public.deploy_version(
    p_api_id uuid, p_n int, p_weight int default 100, p_actor uuid default null
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_api public.apis := private.hold_api(p_api_id);
    v_version uuid;
    v_deployment uuid;
begin
    select id into v_version from public.api_versions where api_id = v_api.id and n = p_n;
    if not found then
        perform private.refuse(404, 'version_not_found', 'There is no such version.');
    end if;
    v_deployment := private.deploy(v_api.id, v_version, p_weight, p_actor);
    perform private.audit(
        p_actor, 'api.deploy', 'api', v_api.id::text,
        jsonb_build_object('version', p_n, 'weight', p_weight)
    );
    return private.deployment_json(v_deployment);
end
$$;

-- Ends a trial share, or returns to the full deployment before the present one. Going back
-- twice goes back further; it never returns to what was just left.
create function public.rollback_api(p_api_id uuid, p_actor uuid default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_api public.apis := private.hold_api(p_api_id);
    v_target public.deployments;
    v_deployment uuid;
begin
    select base.* into v_target
      from public.deployments as active
      join public.deployments as base on base.id = active.previous_id
     where active.api_id = v_api.id and active.status = 'active'
     limit 1;
    if not found then
        perform private.refuse(409, 'nothing_to_roll_back', 'No earlier version was deployed.');
    end if;
    v_deployment := private.deploy(v_api.id, v_target.version_id, 100, p_actor);
    update public.deployments set previous_id = v_target.previous_id where id = v_deployment;
    perform private.audit(
        p_actor, 'api.rollback', 'api', v_api.id::text,
        jsonb_build_object('version_id', v_target.version_id)
    );
    return private.deployment_json(v_deployment);
end
$$;
