-- Calls by month, and the counters behind the limits. No foreign keys: a call outlives its API.

create table public.api_usage (
    at timestamptz not null,
    request_id text not null check (char_length(request_id) between 1 and 128),
    api_id uuid not null,
    tenant_id uuid not null,
    caller_tenant_id uuid not null,
    key_id uuid not null,
    version int not null check (version >= 0),
    method text not null check (char_length(method) between 1 and 32),
    path text not null check (char_length(path) <= 512),
    status_code int not null check (status_code between 100 and 599),
    error_code text check (char_length(error_code) <= 64),
    response_time_us bigint not null check (response_time_us >= 0),
    request_size_bytes bigint not null check (request_size_bytes >= 0),
    response_size_bytes bigint not null check (response_size_bytes >= 0),
    primary key (at, request_id)
) partition by range (at);
create index api_usage_api_id_idx on public.api_usage (api_id, at desc);
create index api_usage_tenant_id_idx on public.api_usage (tenant_id, at desc);
create index api_usage_caller_tenant_id_idx on public.api_usage (caller_tenant_id, at desc);

-- One row per subject, window and sixtieth of the window.
create table public.rate_limit_usage (
    subject text not null check (subject ~ '^(tenant|api|key):[0-9a-f-]{36}$'),
    "window" text not null check ("window" in ('minute', 'hour', 'day')),
    bucket bigint not null,
    count int not null check (count > 0),
    primary key (subject, "window", bucket)
);

alter table public.api_usage enable row level security;
alter table public.rate_limit_usage enable row level security;
revoke all on public.api_usage, public.rate_limit_usage
    from public, anon, authenticated, service_role;
grant select, insert on public.api_usage to service_role;
grant select, insert, update, delete on public.rate_limit_usage to service_role;
grant select on public.api_usage, public.rate_limit_usage to authenticated;

create policy members_read_usage on public.api_usage
    for select to authenticated using (
        tenant_id in (select tenant_id from public.tenant_members where user_id = (select auth.uid()))
        or caller_tenant_id in (
            select tenant_id from public.tenant_members where user_id = (select auth.uid())
        )
    );
create policy members_read_counters on public.rate_limit_usage
    for select to authenticated using (
        subject in (
            select 'tenant:' || tenant_id
              from public.tenant_members
             where user_id = (select auth.uid())
        )
    );

-- --- months -------------------------------------------------------------------------------

-- A partition is a table of its own and does not inherit policies: it lives out of reach.
create function public.ensure_usage_partition(p_month date) returns text
language plpgsql security definer set search_path = '' as $$
declare
    v_from timestamp := date_trunc('month', p_month::timestamp);
    v_name text := 'api_usage_' || to_char(v_from, 'YYYYMM');
begin
    if to_regclass(format('private.%I', v_name)) is not null then
        return v_name;
    end if;
    -- what attaching needs anyway; waiting for it also makes another's new partition visible
    lock table public.api_usage in share update exclusive mode;
    if to_regclass(format('private.%I', v_name)) is null then
        execute format('create table private.%I (like public.api_usage including all)', v_name);
        execute format('alter table private.%I enable row level security', v_name);
        execute format(
            'revoke all on private.%I from public, anon, authenticated, service_role', v_name
        );
        -- attaching, unlike "create ... partition of", lets others go on inserting meanwhile
        execute format(
            'alter table public.api_usage attach partition private.%I for values from (%L) to (%L)',
            v_name,
            v_from at time zone 'UTC',
            (v_from + interval '1 month') at time zone 'UTC'
        );
    end if;
    return v_name;
end
$$;

create function public.drop_usage_before(p_month date) returns int
language plpgsql security definer set search_path = '' set lock_timeout = '2s' as $$
declare
    v_oldest_kept text := 'api_usage_' || to_char(p_month, 'YYYYMM');
    v_name text;
    v_dropped int := 0;
begin
    for v_name in
        select child.relname
          from pg_catalog.pg_inherits
          join pg_catalog.pg_class as child on child.oid = inhrelid
         where inhparent = 'public.api_usage'::regclass and child.relname < v_oldest_kept
         order by child.relname
    loop
        execute format('drop table private.%I', v_name);
        v_dropped := v_dropped + 1;
    end loop;
    return v_dropped;
end
$$;

select public.ensure_usage_partition((now() + make_interval(months => step))::date)
  from generate_series(-1, 3) as step;
