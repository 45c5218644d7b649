-- A version that cannot run gives way to the one before it; APIs that always keep sandboxes.

-- The deployment that a gateway put in place of a crashing one is marked, so that trouble of
-- the whole machine does not send an API back through its history.
alter table public.deployments add column is_revert boolean not null default false;

-- Since when this version has been deployed, in full or in part, without another one having
-- answered everything in between.
create function private.deployed_since(p_api_id uuid, p_version_id uuid) returns timestamptz
language sql stable set search_path = '' as $$
    select min(created_at)
      from public.deployments
     where api_id = p_api_id
       and version_id = p_version_id
       and created_at > coalesce(
            (
                select max(created_at)
                  from public.deployments
                 where api_id = p_api_id and version_id <> p_version_id and weight = 100
            ),
            '-infinity'
        )
$$;

-- Whether another version answers in place of the crashed one when this returns. Only a fresh
-- version is reverted, and only to one that was fully deployed before it; a second gateway that
-- comes with the same news finds it done.
create function public.revert_crashed_version(
    p_api_id uuid, p_version_id uuid, p_reason text default ''
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_api public.apis := private.hold_api(p_api_id);
    v_crashed public.deployments;
    v_target public.deployments;
    v_deployment uuid;
begin
    select * into v_crashed
      from public.deployments
     where api_id = v_api.id and version_id = p_version_id and status = 'active';
    if not found then
        return jsonb_build_object('reverted', exists (
            select from public.deployments where api_id = v_api.id and status = 'active'
        ));
    elsif v_crashed.is_revert
        or private.deployed_since(v_api.id, p_version_id) < clock_timestamp() - interval '1 hour'
    then
        return jsonb_build_object('reverted', false);
    end if;
    with recursive earlier as (
        select base.*, 1 as step
          from public.deployments as base
         where base.id = v_crashed.previous_id
        union all
        select base.*, earlier.step + 1
          from earlier
          join public.deployments as base on base.id = earlier.previous_id
         where earlier.version_id = p_version_id
    )
    select deployment.* into v_target
      from earlier
      join public.deployments as deployment on deployment.id = earlier.id
     where earlier.version_id <> p_version_id
     order by earlier.step
     limit 1;
    if not found then
        return jsonb_build_object('reverted', false);
    end if;
    v_deployment := private.deploy(v_api.id, v_target.version_id, 100, null);
    update public.deployments
       set previous_id = v_target.previous_id, is_revert = true
     where id = v_deployment;
    insert into public.audit_log (actor_id, actor, action, target_type, target_id, detail)
    values (
        null, 'gateway', 'deployment.reverted', 'api', v_api.id::text,
        jsonb_build_object(
            'version_id', v_target.version_id,
            'crashed_version_id', p_version_id,
            'reason', left(p_reason, 500)
        )
    );
    return jsonb_build_object('reverted', true);
end
$$;

-- The routes of the APIs that keep sandboxes whether they are called or not.
create function public.gateway_kept() returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(public.gateway_route(kept.id::text)), '[]')
      from (
        select api.id
          from public.apis as api
          join public.tenants as tenant on tenant.id = api.tenant_id
         where api.status = 'active'
           and tenant.status = 'active'
           and (api.instances ->> 'min')::int > 0
         order by api.created_at, api.id
         limit 1000
      ) as kept
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
