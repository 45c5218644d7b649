-- Tenants that people make, and who belongs to them in which role.

-- What each role may do; `gateway/auth/permissions.py` has the same table, a test compares them.
create table private.role_operations (
    operation text not null,
    role text not null check (role in ('owner', 'admin', 'developer', 'viewer')),
    primary key (operation, role)
);
alter table private.role_operations enable row level security;
revoke all on private.role_operations from public, anon, authenticated, service_role;
insert into private.role_operations (operation, role)
select operation, unnest(roles)
  from (values
    ('read', '{owner, admin, developer, viewer}'::text[]),
    ('read_usage', '{owner, admin, developer, viewer}'),
    ('read_logs', '{owner, admin, developer}'),
    ('create_api', '{owner, admin, developer}'),
    ('change_api', '{owner, admin, developer}'),
    ('read_secrets', '{owner, admin, developer}'),
    ('change_secrets', '{owner, admin, developer}'),
    ('deploy', '{owner, admin, developer}'),
    ('manage_keys', '{owner, admin, developer}'),
    ('delete_api', '{owner, admin}'),
    ('manage_members', '{owner, admin}'),
    ('change_tenant', '{owner, admin}'),
    ('delete_tenant', '{owner}')
  ) as allowed (operation, roles);

create function private.permitted(p_role text, p_operation text) returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (
        select from private.role_operations where role = p_role and operation = p_operation
    )
$$;

-- --- what every change asks first -----------------------------------------------------------

-- Changes of one tenant come one after the other: each holds its row.
create function private.hold_tenant(p_tenant_id uuid) returns public.tenants
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant public.tenants;
begin
    select * into v_tenant from public.tenants where id = p_tenant_id for update;
    if not found then
        perform private.refuse(404, 'tenant_not_found', 'There is no such tenant.');
    end if;
    return v_tenant;
end
$$;

-- A stranger learns nothing; a member whose role is too small is told so.
create function private.require_operation(p_tenant_id uuid, p_actor uuid, p_operation text)
returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_role text;
begin
    if private.is_admin(p_actor) then
        if not exists (select from public.tenants where id = p_tenant_id) then
            perform private.refuse(404, 'tenant_not_found', 'There is no such tenant.');
        end if;
        return;
    end if;
    select role into v_role
      from public.tenant_members where tenant_id = p_tenant_id and user_id = p_actor;
    if not found then
        perform private.refuse(404, 'tenant_not_found', 'There is no such tenant.');
    elsif not private.permitted(v_role, p_operation) then
        perform private.refuse(
            403, 'forbidden', format('The role %s does not allow %s', v_role, p_operation)
        );
    end if;
end
$$;

create function private.require_owner(p_tenant_id uuid, p_actor uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    if not private.is_admin(p_actor) and not exists (
        select from public.tenant_members
         where tenant_id = p_tenant_id and user_id = p_actor and role = 'owner'
    ) then
        perform private.refuse(403, 'forbidden', 'Only an owner gives or takes the role owner.');
    end if;
end
$$;

create function private.require_team(p_tenant public.tenants) returns void
language plpgsql set search_path = '' as $$
begin
    if p_tenant.kind <> 'team' then
        perform private.refuse(
            409, 'personal_tenant',
            'A personal tenant has one member and goes when that person goes.'
        );
    end if;
end
$$;

create function private.require_running(p_tenant public.tenants, p_actor uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    if p_tenant.status = 'suspended' and not private.is_admin(p_actor) then
        perform private.refuse(403, 'tenant_suspended', 'The tenant is suspended.');
    end if;
end
$$;

create function private.require_role_name(p_role text) returns void
language plpgsql set search_path = '' as $$
begin
    if p_role is null or p_role not in ('owner', 'admin', 'developer', 'viewer') then
        perform private.refuse(
            422, 'invalid_role', 'A role is owner, admin, developer or viewer.'
        );
    end if;
end
$$;

-- --- the owner stays ------------------------------------------------------------------------

-- The owner named in the tenant is a member with that role, whoever writes to the tables.
-- Looked at when a transaction ends, one after the other, so that two of them at once cannot
-- each count on the owner whom the other one takes away.
create function private.on_owner_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant uuid := case tg_table_name
        when 'tenants' then to_jsonb(old) ->> 'id' else to_jsonb(old) ->> 'tenant_id'
    end;
begin
    perform from public.tenants where id = v_tenant for update;
    if found and not exists (
        select from public.tenants as tenant
          join public.tenant_members as member
            on member.tenant_id = tenant.id and member.user_id = tenant.owner_id
         where tenant.id = v_tenant and member.role = 'owner'
    ) then
        perform private.refuse(409, 'last_owner', 'A tenant keeps its owner.');
    end if;
    return null;
end
$$;
create constraint trigger owner_stays_member
    after delete or update of tenant_id, user_id, role on public.tenant_members
    deferrable initially deferred
    for each row when (old.role = 'owner') execute function private.on_owner_changed();
create constraint trigger owner_is_member after update of owner_id on public.tenants
    deferrable initially deferred
    for each row execute function private.on_owner_changed();

-- An owner may go when another one is there, who then stands for the tenant.
create function private.release_owner(p_tenant public.tenants, p_user_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_heir uuid;
begin
    select user_id into v_heir
      from public.tenant_members
     where tenant_id = p_tenant.id and role = 'owner' and user_id <> p_user_id
     order by user_id = p_tenant.owner_id desc, created_at, user_id
     limit 1;
    if v_heir is null then
        perform private.refuse(
            409, 'last_owner',
            'The last owner stays. Make another member an owner first, or delete the tenant.'
        );
    end if;
    update public.tenants set owner_id = v_heir where id = p_tenant.id and owner_id = p_user_id;
end
$$;

-- --- tenants --------------------------------------------------------------------------------

create function public.create_own_tenant(p jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_id uuid := p ->> 'id';
    v_actor uuid := p ->> 'actor';
    v_tenant public.tenants;
begin
    -- held, so that tenants made at the same time are counted one after the other
    perform from public.user_profiles where id = v_actor for no key update;
    if not found then
        perform private.refuse(404, 'user_not_found', 'There is no such user.');
    end if;
    select * into v_tenant from public.tenants where id = v_id and owner_id = v_actor;
    if found then
        return to_jsonb(v_tenant);  -- the same request once more
    elsif (
        select count(*) from public.tenants where owner_id = v_actor and kind = 'team'
    ) >= (p ->> 'most')::int then
        perform private.refuse(
            409, 'too_many_tenants', format('One person owns at most %s tenants.', p ->> 'most')
        );
    end if;
    insert into public.tenants (id, name, owner_id, kind)
    values (v_id, p ->> 'name', v_actor, 'team')
    returning * into v_tenant;
    insert into public.tenant_members (tenant_id, user_id, role) values (v_id, v_actor, 'owner');
    perform private.audit(
        v_actor, 'tenant.create', 'tenant', v_id::text, jsonb_build_object('name', v_tenant.name)
    );
    return to_jsonb(v_tenant);
end
$$;

create function public.rename_tenant(p_tenant_id uuid, p_name text, p_actor uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant public.tenants := private.hold_tenant(p_tenant_id);
begin
    perform private.require_operation(v_tenant.id, p_actor, 'change_tenant');
    perform private.require_running(v_tenant, p_actor);
    update public.tenants set name = p_name where id = v_tenant.id returning * into v_tenant;
    perform private.audit(
        p_actor, 'tenant.rename', 'tenant', v_tenant.id::text, jsonb_build_object('name', p_name)
    );
    return to_jsonb(v_tenant);
end
$$;

-- --- members --------------------------------------------------------------------------------

create function private.member_json(p_tenant_id uuid, p_user_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'user_id', member.user_id,
        'email', profile.email,
        'role', member.role,
        'created_at', member.created_at
    )
      from public.tenant_members as member
      join public.user_profiles as profile on profile.id = member.user_id
     where member.tenant_id = p_tenant_id and member.user_id = p_user_id
$$;

create function private.role_of(p_tenant_id uuid, p_user_id uuid) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
    v_role text;
begin
    select role into v_role
      from public.tenant_members where tenant_id = p_tenant_id and user_id = p_user_id;
    if not found then
        perform private.refuse(404, 'member_not_found', 'There is no such member.');
    end if;
    return v_role;
end
$$;

-- Everybody of a tenant, for those who belong to it; row-level security alone would show each
-- person nobody but themselves.
create function public.tenant_people(
    p_tenant_id uuid, p_actor uuid, p_limit int, p_offset int
) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
    perform private.require_operation(p_tenant_id, p_actor, 'read');
    return (
        select coalesce(jsonb_agg(private.member_json(p_tenant_id, page.user_id) order by page.n), '[]')
          from (
            select user_id, row_number() over (
                       order by array_position(array['owner', 'admin', 'developer', 'viewer'], role),
                                created_at, user_id
                   ) as n
              from public.tenant_members
             where tenant_id = p_tenant_id
             order by n
             limit p_limit offset p_offset
          ) as page
    );
end
$$;

-- Without asking the person, so for administrators of the installation; others invite.
create function public.add_member(p_tenant_id uuid, p_user_id uuid, p_role text, p_actor uuid)
returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant public.tenants := private.hold_tenant(p_tenant_id);
begin
    perform private.require_operation(v_tenant.id, p_actor, 'manage_members');
    perform private.require_role_name(p_role);
    if not private.is_admin(p_actor) then
        perform private.refuse(
            403, 'forbidden', 'Nobody becomes a member unasked: invite them by e-mail.'
        );
    end if;
    perform private.require_team(v_tenant);
    if not exists (select from public.user_profiles where id = p_user_id) then
        perform private.refuse(404, 'user_not_found', 'There is no such user.');
    elsif exists (
        select from public.tenant_members where tenant_id = v_tenant.id and user_id = p_user_id
    ) then
        perform private.refuse(409, 'already_member', 'This person is a member already.');
    end if;
    insert into public.tenant_members (tenant_id, user_id, role)
    values (v_tenant.id, p_user_id, p_role);
    perform private.audit(
        p_actor, 'member.add', 'tenant', v_tenant.id::text,
        jsonb_build_object('user_id', p_user_id, 'role', p_role)
    );
    return private.member_json(v_tenant.id, p_user_id);
end
$$;

create function public.change_member(
    p_tenant_id uuid, p_user_id uuid, p_role text, p_actor uuid
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant public.tenants := private.hold_tenant(p_tenant_id);
    v_old text;
begin
    perform private.require_operation(v_tenant.id, p_actor, 'manage_members');
    perform private.require_role_name(p_role);
    v_old := private.role_of(v_tenant.id, p_user_id);
    if v_old = p_role then
        return private.member_json(v_tenant.id, p_user_id);
    end if;
    perform private.require_team(v_tenant);
    perform private.require_running(v_tenant, p_actor);
    if 'owner' in (v_old, p_role) then
        perform private.require_owner(v_tenant.id, p_actor);
    end if;
    if v_old = 'owner' then
        perform private.release_owner(v_tenant, p_user_id);
    end if;
    update public.tenant_members set role = p_role
     where tenant_id = v_tenant.id and user_id = p_user_id;
    perform private.audit(
        p_actor, 'member.change', 'tenant', v_tenant.id::text,
        jsonb_build_object('user_id', p_user_id, 'from', v_old, 'role', p_role)
    );
    return private.member_json(v_tenant.id, p_user_id);
end
$$;

-- Everybody may go themselves; it works while the tenant is suspended, too.
create function public.remove_member(p_tenant_id uuid, p_user_id uuid, p_actor uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant public.tenants := private.hold_tenant(p_tenant_id);
    v_leaves boolean := p_actor is not distinct from p_user_id;
    v_role text;
begin
    perform private.require_operation(
        v_tenant.id, p_actor, case when v_leaves then 'read' else 'manage_members' end
    );
    v_role := private.role_of(v_tenant.id, p_user_id);
    perform private.require_team(v_tenant);
    if v_role = 'owner' then
        perform private.require_owner(v_tenant.id, p_actor);
        perform private.release_owner(v_tenant, p_user_id);
    end if;
    delete from public.tenant_members where tenant_id = v_tenant.id and user_id = p_user_id;
    perform private.audit(
        p_actor, case when v_leaves then 'member.leave' else 'member.remove' end,
        'tenant', v_tenant.id::text, jsonb_build_object('user_id', p_user_id, 'role', v_role)
    );
end
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
