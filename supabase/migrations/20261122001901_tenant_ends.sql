-- Handing a tenant over, deleting one, and what a tenant's members read of its usage.

-- Who hands over stays as an admin. The one who gets it has agreed to be a member before.
create function public.transfer_tenant(p_tenant_id uuid, p_user_id uuid, p_actor uuid)
returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant public.tenants := private.hold_tenant(p_tenant_id);
    v_from uuid := v_tenant.owner_id;
begin
    perform private.require_operation(v_tenant.id, p_actor, 'delete_tenant');
    perform private.require_team(v_tenant);
    perform private.require_running(v_tenant, p_actor);
    perform private.role_of(v_tenant.id, p_user_id);
    if exists (
        select from public.tenant_members
         where tenant_id = v_tenant.id and user_id = p_actor and role = 'owner'
    ) then
        v_from := p_actor;
    end if;
    if v_from = p_user_id then
        return to_jsonb(v_tenant);
    end if;
    update public.tenant_members set role = 'owner'
     where tenant_id = v_tenant.id and user_id = p_user_id;
    update public.tenants set owner_id = p_user_id
     where id = v_tenant.id
    returning * into v_tenant;
    update public.tenant_members set role = 'admin'
     where tenant_id = v_tenant.id and user_id = v_from;
    perform private.audit(
        p_actor, 'tenant.transfer', 'tenant', v_tenant.id::text,
        jsonb_build_object('from', v_from, 'user_id', p_user_id)
    );
    return to_jsonb(v_tenant);
end
$$;

-- Its APIs and keys go with it, and so do keys of others that opened nothing else. The ledger,
-- the recorded calls and the audit log stay. Answers the ids of its APIs.
create function public.remove_tenant(p_tenant_id uuid, p_actor uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant public.tenants := private.hold_tenant(p_tenant_id);
    v_api uuid;
    v_apis jsonb := '[]';
    v_keys int;
begin
    perform private.require_operation(v_tenant.id, p_actor, 'delete_tenant');
    perform private.require_team(v_tenant);
    perform private.require_running(v_tenant, p_actor);
    select count(*) into v_keys
      from public.consumer_api_keys where tenant_id = v_tenant.id and revoked_at is null;
    for v_api in select id from public.apis where tenant_id = v_tenant.id order by id loop
        perform public.delete_api(v_api, p_actor);
        v_apis := v_apis || to_jsonb(v_api);
    end loop;
    delete from public.tenants where id = v_tenant.id;
    perform private.audit(
        p_actor, 'tenant.delete', 'tenant', v_tenant.id::text,
        jsonb_build_object('name', v_tenant.name, 'api_ids', v_apis, 'keys', v_keys)
    );
    return jsonb_build_object('api_ids', v_apis);
end
$$;

-- Calls by day, newest first: those that the tenant's keys made, and those that its APIs got.
create function public.tenant_calls(p_tenant_id uuid, p_actor uuid, p_since timestamptz)
returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
    perform private.require_operation(p_tenant_id, p_actor, 'read_usage');
    return (
        with calls as (
            select at, 1 as made, 0 as received, status_code, response_size_bytes
              from public.api_usage
             where caller_tenant_id = p_tenant_id and at >= p_since
            union all
            select at, 0, 1, status_code, response_size_bytes
              from public.api_usage
             where tenant_id = p_tenant_id and at >= p_since
        ), days as (
            select (at at time zone 'UTC')::date as day,
                   sum(made) as calls_made,
                   sum(received) as calls_received,
                   count(*) filter (where received = 1 and status_code >= 500) as errors,
                   coalesce(sum(response_size_bytes) filter (where received = 1), 0)::bigint
                       as response_bytes
              from calls
             group by 1
        )
        select coalesce(jsonb_agg(to_jsonb(days) order by day desc), '[]') from days
    );
end
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
