-- What exporting and erasing a tenant need where only functions can be called: in a project.

-- Each table with the columns that people may read, in order, and those of its primary key.
create function public.readable_tables() returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(found order by found.name), '[]')
      from (
        select c.relname::text as name,
               array_agg(a.attname::text order by a.attnum) as columns,
               (select array_agg(pa.attname::text order by array_position(i.indkey, pa.attnum))
                  from pg_catalog.pg_index as i
                  join pg_catalog.pg_attribute as pa
                    on pa.attrelid = c.oid and pa.attnum = any (i.indkey)
                 where i.indrelid = c.oid and i.indisprimary) as key
          from pg_catalog.pg_class as c
          join pg_catalog.pg_attribute as a
            on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
           and has_column_privilege('authenticated', c.oid, a.attnum, 'select')
         group by c.oid, c.relname
      ) as found
$$;

-- Null when there is no such tenant.
create function public.tenant_holdings(p_tenant_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'id', tenant.id,
        'name', tenant.name,
        'kind', tenant.kind,
        'owner', coalesce(profile.email, ''),
        'apis', (select count(*) from public.apis where tenant_id = p_tenant_id),
        'keys', (select count(*) from public.consumer_api_keys where tenant_id = p_tenant_id),
        'members', (select count(*) from public.tenant_members where tenant_id = p_tenant_id),
        'calls', (select count(*) from public.api_usage where tenant_id = p_tenant_id),
        'files', (select count(*) from public.uploads where tenant_id = p_tenant_id)
    )
      from public.tenants as tenant
      left join public.user_profiles as profile on profile.id = tenant.owner_id
     where tenant.id = p_tenant_id
$$;

-- Deletes a team. Of a personal tenant it answers the person, whom the project's Auth deletes with
-- all that is theirs; the entry is there before, so that a repetition finds it.
create function public.erase_project_tenant(p_tenant_id uuid, p_person boolean) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant public.tenants;
begin
    select * into v_tenant from public.tenants where id = p_tenant_id for update;
    if not found then
        perform private.refuse(404, 'tenant_not_found', 'There is no such tenant.');
    elsif (v_tenant.kind = 'personal') <> p_person then
        perform private.refuse(
            409, 'personal_tenant', 'A personal tenant goes with its person, and no other does.'
        );
    end if;
    insert into public.audit_log (actor, action, target_type, target_id, detail)
    values (
        'operator', 'tenant.erase', 'tenant', p_tenant_id::text,
        jsonb_build_object('name', v_tenant.name, 'kind', v_tenant.kind)
    );
    if p_person then
        return v_tenant.owner_id;
    end if;
    delete from public.tenants where id = p_tenant_id;
    return null;
end
$$;

revoke all on function
    public.readable_tables(), public.tenant_holdings(uuid),
    public.erase_project_tenant(uuid, boolean)
from public, anon, authenticated;
grant execute on function
    public.readable_tables(), public.tenant_holdings(uuid),
    public.erase_project_tenant(uuid, boolean)
to service_role;
