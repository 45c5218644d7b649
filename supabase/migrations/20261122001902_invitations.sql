-- Invitations: a person becomes a member by showing what was sent to their address.

-- The token itself is known to whoever got it; here is its SHA-256. It is 256 random bits, so
-- nobody finds it by trying.
create table public.tenant_invitations (
    id uuid primary key,
    tenant_id uuid not null references public.tenants on delete cascade,
    email text not null check (email = lower(email) and char_length(email) between 3 and 255),
    role text not null check (role in ('admin', 'developer', 'viewer')),
    token_hash text not null unique check (token_hash ~ '^[0-9a-f]{64}$'),
    invited_by uuid references public.user_profiles on delete set null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    accepted_at timestamptz,
    accepted_by uuid references public.user_profiles on delete set null,
    revoked_at timestamptz
);
create index tenant_invitations_tenant_id_idx
    on public.tenant_invitations (tenant_id, created_at desc);
create index tenant_invitations_invited_by_idx on public.tenant_invitations (invited_by);
create index tenant_invitations_accepted_by_idx on public.tenant_invitations (accepted_by);
create unique index tenant_invitations_one_open_idx
    on public.tenant_invitations (tenant_id, email)
    where accepted_at is null and revoked_at is null;

alter table public.tenant_invitations enable row level security;
revoke all on public.tenant_invitations from public, anon, authenticated, service_role;
grant select on public.tenant_invitations to service_role;
grant select (
    id, tenant_id, email, role, invited_by, created_at, expires_at, accepted_at, accepted_by,
    revoked_at
) on public.tenant_invitations to authenticated;
-- those who may invite; a test compares the roles with the table of operations
create policy managers_read_invitations on public.tenant_invitations
    for select to authenticated using (
        tenant_id in (
            select tenant_id
              from public.tenant_members
             where user_id = (select auth.uid()) and role in ('owner', 'admin')
        )
    );

create function private.invitation_json(p_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select to_jsonb(invitation) - 'token_hash'
      from public.tenant_invitations as invitation
     where id = p_id
$$;

-- Inviting the same address again takes the first invitation's place.
create function public.invite_member(p jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant public.tenants := private.hold_tenant((p ->> 'tenant_id')::uuid);
    v_id uuid := p ->> 'id';
    v_actor uuid := p ->> 'actor';
    v_email text := p ->> 'email';
begin
    perform private.require_operation(v_tenant.id, v_actor, 'manage_members');
    perform private.require_team(v_tenant);
    perform private.require_running(v_tenant, v_actor);
    if exists (
        select from public.tenant_members as member
          join public.user_profiles as profile on profile.id = member.user_id
         where member.tenant_id = v_tenant.id and lower(profile.email) = v_email
    ) then
        perform private.refuse(409, 'already_member', 'This person is a member already.');
    end if;
    -- addresses of people are not kept for longer than they are of use
    delete from public.tenant_invitations
     where tenant_id = v_tenant.id and created_at < now() - interval '90 days';
    if (
        select count(*) from public.tenant_invitations
         where tenant_id = v_tenant.id and created_at > now() - interval '1 day'
    ) >= (p ->> 'most')::int then
        perform private.refuse(
            429, 'too_many_invitations',
            format('A tenant sends at most %s invitations in a day.', p ->> 'most')
        );
    end if;
    update public.tenant_invitations set revoked_at = now()
     where tenant_id = v_tenant.id and email = v_email
       and accepted_at is null and revoked_at is null;
    insert into public.tenant_invitations (
        id, tenant_id, email, role, token_hash, invited_by, expires_at
    )
    values (
        v_id, v_tenant.id, v_email, p ->> 'role', p ->> 'token_hash', v_actor,
        now() + make_interval(days => (p ->> 'days')::int)
    );
    perform private.audit(
        v_actor, 'invitation.create', 'tenant', v_tenant.id::text,
        jsonb_build_object('id', v_id, 'email', v_email, 'role', p ->> 'role')
    );
    return private.invitation_json(v_id);
end
$$;

create function public.revoke_invitation(p_tenant_id uuid, p_id uuid, p_actor uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant public.tenants := private.hold_tenant(p_tenant_id);
    v_invitation public.tenant_invitations;
begin
    perform private.require_operation(v_tenant.id, p_actor, 'manage_members');
    select * into v_invitation
      from public.tenant_invitations where id = p_id and tenant_id = v_tenant.id for update;
    if not found then
        perform private.refuse(404, 'invitation_not_found', 'There is no such invitation.');
    elsif v_invitation.accepted_at is not null then
        perform private.refuse(
            409, 'invitation_used', 'It was accepted; take the member out instead.'
        );
    elsif v_invitation.revoked_at is null then
        update public.tenant_invitations set revoked_at = now() where id = p_id;
        perform private.audit(
            p_actor, 'invitation.revoke', 'tenant', v_tenant.id::text,
            jsonb_build_object('id', p_id, 'email', v_invitation.email)
        );
    end if;
end
$$;

-- Only the person of the address it was meant for; once. Answers the tenant and the role.
create function public.accept_invitation(p_token_hash text, p_actor uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant public.tenants;
    v_invitation public.tenant_invitations;
    v_role text;
begin
    select * into v_invitation
      from public.tenant_invitations where token_hash = p_token_hash;
    if not found then
        perform private.refuse(404, 'invitation_not_found', 'There is no such invitation.');
    end if;
    v_tenant := private.hold_tenant(v_invitation.tenant_id);
    -- read again: whatever changes it holds the tenant first
    select * into v_invitation
      from public.tenant_invitations where token_hash = p_token_hash;
    select role into v_role
      from public.tenant_members where tenant_id = v_tenant.id and user_id = p_actor;
    if v_invitation.id is null then
        perform private.refuse(404, 'invitation_not_found', 'There is no such invitation.');
    elsif v_invitation.email is distinct from (
        select lower(email) from public.user_profiles where id = p_actor
    ) then
        perform private.refuse(
            403, 'invitation_for_another', 'This invitation was sent to another address.'
        );
    elsif v_invitation.accepted_by = p_actor and v_role is not null then
        return to_jsonb(v_tenant) || jsonb_build_object('role', v_role);  -- once more the same
    elsif v_invitation.accepted_at is not null then
        perform private.refuse(410, 'invitation_used', 'This invitation was accepted already.');
    elsif v_invitation.revoked_at is not null then
        perform private.refuse(410, 'invitation_revoked', 'This invitation was taken back.');
    elsif v_invitation.expires_at <= now() then
        perform private.refuse(410, 'invitation_expired', 'This invitation has expired.');
    end if;
    perform private.require_running(v_tenant, p_actor);
    update public.tenant_invitations set accepted_at = now(), accepted_by = p_actor
     where id = v_invitation.id;
    if v_role is null then  -- else somebody was faster, and that role stays
        v_role := v_invitation.role;
        insert into public.tenant_members (tenant_id, user_id, role)
        values (v_tenant.id, p_actor, v_role);
    end if;
    perform private.audit(
        p_actor, 'invitation.accept', 'tenant', v_tenant.id::text,
        jsonb_build_object('id', v_invitation.id, 'role', v_role)
    );
    return to_jsonb(v_tenant) || jsonb_build_object('role', v_role);
end
$$;

-- Whoever may not invite any more has not invited anybody: what they sent out ends with it.
create function private.on_manager_gone() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if tg_op = 'UPDATE' and private.permitted(new.role, 'manage_members') then
        return null;
    end if;
    update public.tenant_invitations set revoked_at = now()
     where tenant_id = old.tenant_id and invited_by = old.user_id
       and accepted_at is null and revoked_at is null;
    return null;
end
$$;
create trigger end_invitations after delete or update of role on public.tenant_members
    for each row execute function private.on_manager_gone();

create function private.on_inviter_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update public.tenant_invitations set revoked_at = now()
     where invited_by = old.id and accepted_at is null and revoked_at is null;
    return old;
end
$$;
create trigger end_invitations before delete on public.user_profiles
    for each row execute function private.on_inviter_deleted();

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
