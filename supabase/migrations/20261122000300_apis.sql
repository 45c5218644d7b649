-- APIs, their immutable versions, and the deployments that say which versions answer.

create table public.apis (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid not null references public.tenants on delete cascade,
    created_by uuid references public.user_profiles on delete set null,
    slug text not null unique
        check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$')
        check (slug !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'),
    name text not null check (char_length(name) between 1 and 100),
    description text not null default '' check (char_length(description) <= 2000),
    status text not null default 'draft'
        check (status in ('draft', 'building', 'active', 'paused', 'suspended', 'failed')),
    generation int not null default 1 check (generation > 0),
    limits jsonb not null default '{}' check (private.valid_limits(limits)),
    resources jsonb not null default '{}' check (private.valid_resources(resources)),
    is_published boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (tenant_id, name)
);
create index apis_created_by_idx on public.apis (created_by);

create table public.api_versions (
    id uuid primary key default gen_random_uuid(),
    api_id uuid not null references public.apis on delete cascade,
    n int not null check (n > 0),
    code text not null,
    digest text not null check (digest <> ''),
    created_by uuid references public.user_profiles on delete set null,
    created_at timestamptz not null default now(),
    unique (api_id, n)
);
create index api_versions_created_by_idx on public.api_versions (created_by);

-- `previous_id` is the full deployment that a rollback returns to.
create table public.deployments (
    id uuid primary key default gen_random_uuid(),
    api_id uuid not null references public.apis on delete cascade,
    version_id uuid not null references public.api_versions on delete cascade,
    weight int not null default 100 check (weight between 1 and 100),
    status text not null default 'active' check (status in ('active', 'replaced')),
    previous_id uuid references public.deployments on delete cascade,
    created_by uuid references public.user_profiles on delete set null,
    created_at timestamptz not null default clock_timestamp()
);
create index deployments_api_id_idx on public.deployments (api_id, created_at desc);
create index deployments_version_id_idx on public.deployments (version_id);
create index deployments_previous_id_idx on public.deployments (previous_id);
create index deployments_created_by_idx on public.deployments (created_by);
create unique index deployments_one_active_idx
    on public.deployments (api_id, version_id) where status = 'active';

create function private.on_version_changed() returns trigger
language plpgsql set search_path = '' as $$
begin
    perform private.refuse(409, 'version_is_immutable', 'A version never changes; add a new one.');
    return null;
end
$$;
create trigger version_is_immutable
    before update of id, api_id, n, code, digest, created_at on public.api_versions
    for each row execute function private.on_version_changed();

create function private.on_api_touched() returns trigger
language plpgsql set search_path = '' as $$
begin
    new.updated_at := now();
    return new;
end
$$;
create trigger api_touched before update on public.apis
    for each row execute function private.on_api_touched();

-- --- who may read -------------------------------------------------------------------------

alter table public.apis enable row level security;
alter table public.api_versions enable row level security;
alter table public.deployments enable row level security;
revoke all on public.apis, public.api_versions, public.deployments
    from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.apis to service_role;
grant select, insert on public.api_versions to service_role;
grant select, insert, update on public.deployments to service_role;
grant select on public.apis, public.api_versions, public.deployments to authenticated;

create policy members_read_apis on public.apis
    for select to authenticated using (
        tenant_id in (select tenant_id from public.tenant_members where user_id = (select auth.uid()))
    );
-- these two name the membership themselves, so that a wider policy on `apis` never opens the code
create policy members_read_versions on public.api_versions
    for select to authenticated using (
        api_id in (
            select api.id
              from public.apis as api
              join public.tenant_members as member on member.tenant_id = api.tenant_id
             where member.user_id = (select auth.uid())
        )
    );
create policy members_read_deployments on public.deployments
    for select to authenticated using (
        api_id in (
            select api.id
              from public.apis as api
              join public.tenant_members as member on member.tenant_id = api.tenant_id
             where member.user_id = (select auth.uid())
        )
    );
