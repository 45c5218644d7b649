-- Consumer keys: only a keyed hash is stored, and it is readable by the gateway alone.

create table public.consumer_api_keys (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid not null references public.tenants on delete cascade,
    created_by uuid references public.user_profiles on delete set null,
    name text not null check (char_length(name) between 1 and 100),
    key_hash text not null unique check (key_hash <> ''),
    display text not null,
    limits jsonb not null default '{}' check (private.valid_limits(limits)),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    created_at timestamptz not null default now()
);
create index consumer_api_keys_tenant_id_idx on public.consumer_api_keys (tenant_id);
create index consumer_api_keys_created_by_idx on public.consumer_api_keys (created_by);

create table public.consumer_api_key_apis (
    key_id uuid not null references public.consumer_api_keys on delete cascade,
    api_id uuid not null references public.apis on delete cascade,
    primary key (key_id, api_id)
);
create index consumer_api_key_apis_api_id_idx on public.consumer_api_key_apis (api_id);

alter table public.consumer_api_keys enable row level security;
alter table public.consumer_api_key_apis enable row level security;
revoke all on public.consumer_api_keys, public.consumer_api_key_apis
    from public, anon, authenticated, service_role;
grant select, insert, update, delete
    on public.consumer_api_keys, public.consumer_api_key_apis to service_role;
grant select (
    id, tenant_id, created_by, name, display, limits, expires_at, revoked_at, last_used_at, created_at
) on public.consumer_api_keys to authenticated;
grant select on public.consumer_api_key_apis to authenticated;

create policy members_read_keys on public.consumer_api_keys
    for select to authenticated using (
        tenant_id in (select tenant_id from public.tenant_members where user_id = (select auth.uid()))
    );
create policy members_read_key_apis on public.consumer_api_key_apis
    for select to authenticated using (
        key_id in (
            select key.id
              from public.consumer_api_keys as key
              join public.tenant_members as member on member.tenant_id = key.tenant_id
             where member.user_id = (select auth.uid())
        )
    );
