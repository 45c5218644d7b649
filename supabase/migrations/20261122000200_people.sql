-- Plans, people and tenants. A tenant owns everything; every user has a personal one.

create table public.plans (
    name text primary key check (name ~ '^[a-z][a-z0-9_]{0,31}$'),
    limits jsonb not null default '{}' check (private.valid_limits(limits)),
    created_at timestamptz not null default now()
);
insert into public.plans (name, limits) values
    ('free', '{"hour": 100}'),
    ('pro', '{"hour": 1000}'),
    ('enterprise', '{"hour": 10000}');

create table public.user_profiles (
    id uuid primary key references auth.users on delete cascade,
    email text,
    is_admin boolean not null default false,
    created_at timestamptz not null default now()
);

create table public.tenants (
    id uuid primary key default gen_random_uuid(),
    name text not null check (char_length(name) between 1 and 100),
    owner_id uuid not null references public.user_profiles,
    kind text not null check (kind in ('personal', 'team')),
    plan text not null default 'free' references public.plans,
    status text not null default 'active' check (status in ('active', 'suspended')),
    limits jsonb not null default '{}' check (private.valid_limits(limits)),
    created_at timestamptz not null default now()
);
create index tenants_owner_id_idx on public.tenants (owner_id);
create unique index tenants_one_personal_idx on public.tenants (owner_id) where kind = 'personal';

create table public.tenant_members (
    tenant_id uuid not null references public.tenants on delete cascade,
    user_id uuid not null references public.user_profiles on delete cascade,
    role text not null check (role in ('owner', 'admin', 'developer', 'viewer')),
    created_at timestamptz not null default now(),
    primary key (tenant_id, user_id)
);
create index tenant_members_user_id_idx on public.tenant_members (user_id);

-- --- people come and go -------------------------------------------------------------------

create function private.on_user_created() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant uuid;
begin
    insert into public.user_profiles (id, email) values (new.id, new.email);
    insert into public.tenants (name, owner_id, kind)
    values (
        coalesce(nullif(left(split_part(new.email, '@', 1), 100), ''), 'personal'),
        new.id,
        'personal'
    )
    returning id into v_tenant;
    insert into public.tenant_members (tenant_id, user_id, role) values (v_tenant, new.id, 'owner');
    return null;
end
$$;
create trigger sandgate_user_created after insert on auth.users
    for each row execute function private.on_user_created();

create function private.on_user_email_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update public.user_profiles set email = new.email where id = new.id;
    return null;
end
$$;
create trigger sandgate_user_email_changed after update of email on auth.users
    for each row execute function private.on_user_email_changed();

-- A team goes on under its most senior member; a tenant nobody else belongs to goes as well.
create function private.on_user_leaving() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant record;
    v_heir uuid;
begin
    for v_tenant in select id, kind from public.tenants where owner_id = old.id for update loop
        select user_id into v_heir
          from public.tenant_members
         where tenant_id = v_tenant.id and user_id <> old.id and v_tenant.kind = 'team'
         order by array_position(array['owner', 'admin', 'developer', 'viewer'], role), created_at
         limit 1;
        if v_heir is null then
            delete from public.tenants where id = v_tenant.id;
        else
            update public.tenants set owner_id = v_heir where id = v_tenant.id;
            update public.tenant_members set role = 'owner'
             where tenant_id = v_tenant.id and user_id = v_heir;
        end if;
    end loop;
    return old;
end
$$;
create trigger user_leaving before delete on public.user_profiles
    for each row execute function private.on_user_leaving();

-- --- who may read -------------------------------------------------------------------------

alter table public.plans enable row level security;
alter table public.user_profiles enable row level security;
alter table public.tenants enable row level security;
alter table public.tenant_members enable row level security;
revoke all on public.plans, public.user_profiles, public.tenants, public.tenant_members
    from public, anon, authenticated, service_role;
grant select, insert, update, delete
    on public.plans, public.user_profiles, public.tenants, public.tenant_members to service_role;
grant select on public.plans to anon, authenticated;
grant select on public.user_profiles, public.tenants, public.tenant_members to authenticated;

create policy plans_are_public on public.plans
    for select to anon, authenticated using (true);
create policy own_profile on public.user_profiles
    for select to authenticated using (id = (select auth.uid()));
create policy own_membership on public.tenant_members
    for select to authenticated using (user_id = (select auth.uid()));
create policy members_read_tenant on public.tenants
    for select to authenticated using (
        id in (select tenant_id from public.tenant_members where user_id = (select auth.uid()))
    );
