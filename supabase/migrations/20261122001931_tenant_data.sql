-- A tenant's end: everything of it goes but what the books need.

-- Deletes a tenant; a personal one only together with its person, which takes rights that the
-- gateway does not have. Teams of that person go on under an heir, or go as well.
create function public.erase_tenant(p_tenant_id uuid, p_person boolean default false) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_tenant public.tenants;
    v_apis int;
    v_keys int;
    v_detail jsonb;
begin
    select * into v_tenant from public.tenants where id = p_tenant_id for update;
    if not found then
        perform private.refuse(404, 'tenant_not_found', 'There is no such tenant.');
    elsif v_tenant.kind = 'personal' and not p_person then
        perform private.refuse(
            409, 'personal_tenant', 'A personal tenant goes with its person only.'
        );
    elsif v_tenant.kind <> 'personal' and p_person then
        perform private.refuse(409, 'team_tenant', 'A team is not a person''s own.');
    end if;
    select count(*) into v_apis from public.apis where tenant_id = p_tenant_id;
    select count(*) into v_keys from public.consumer_api_keys where tenant_id = p_tenant_id;
    v_detail := jsonb_build_object(
        'name', v_tenant.name, 'kind', v_tenant.kind, 'apis', v_apis, 'keys', v_keys
    );
    insert into public.audit_log (actor, action, target_type, target_id, detail)
    values ('operator', 'tenant.erase', 'tenant', p_tenant_id::text, v_detail);
    if p_person then
        delete from auth.users where id = v_tenant.owner_id;
    else
        delete from public.tenants where id = p_tenant_id;
    end if;
    return v_detail;
end
$$;

-- Takes the paths out of calls to APIs of a tenant that is gone, some at a time; answers how
-- many. The calls stay: the ledger is checked against them.
create function public.blank_paths(p_tenant_id uuid, p_rows int default 20000) returns int
language plpgsql security definer set search_path = '' as $$
declare
    v_blanked int;
begin
    if exists (select from public.tenants where id = p_tenant_id) then
        perform private.refuse(409, 'tenant_exists', 'This tenant is still there.');
    end if;
    with found as (
        select at, request_id
          from public.api_usage
         where tenant_id = p_tenant_id and path <> ''
         limit p_rows
           for update
    )
    update public.api_usage as call
       set path = ''
      from found
     where call.at = found.at and call.request_id = found.request_id;
    get diagnostics v_blanked = row_count;
    return v_blanked;
end
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
