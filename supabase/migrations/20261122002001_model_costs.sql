-- What language models cost: a row for each call, and caps that are asked before it.

alter table public.plans
    add column month_nano_usd bigint not null default 5000000000
        constraint plans_month_nano_usd_check check (month_nano_usd >= 0);
update public.plans set month_nano_usd = 50000000000 where name = 'pro';
update public.plans set month_nano_usd = 500000000000 where name = 'enterprise';

-- One tenant's own caps; null is what holds for everybody.
create table public.tenant_caps (
    tenant_id uuid primary key references public.tenants on delete cascade,
    job_nano_usd bigint check (job_nano_usd >= 0),
    user_day_nano_usd bigint check (user_day_nano_usd >= 0),
    month_nano_usd bigint check (month_nano_usd >= 0),
    updated_at timestamptz not null default now()
);

-- The ledger: what was, never what was set aside. It stays when its job goes.
create table public.model_costs (
    id uuid primary key,
    tenant_id uuid references public.tenants on delete set null,
    user_id uuid references public.user_profiles on delete set null,
    job_id uuid,
    api_id uuid,
    version int,
    purpose text not null check (char_length(purpose) between 1 and 40),
    provider text not null check (char_length(provider) <= 40),
    model text not null check (char_length(model) <= 200),
    request_id text not null default '' check (char_length(request_id) <= 200),
    input_tokens bigint not null default 0 check (input_tokens >= 0),
    output_tokens bigint not null default 0 check (output_tokens >= 0),
    cache_write_5m_tokens bigint not null default 0 check (cache_write_5m_tokens >= 0),
    cache_write_1h_tokens bigint not null default 0 check (cache_write_1h_tokens >= 0),
    cache_read_tokens bigint not null default 0 check (cache_read_tokens >= 0),
    price text not null default '' check (char_length(price) <= 100),
    nano_usd bigint not null check (nano_usd >= 0),
    reserved_nano_usd bigint not null check (reserved_nano_usd >= 0),
    duration_ms bigint not null default 0 check (duration_ms >= 0),
    stop text not null default '' check (char_length(stop) <= 60),
    at timestamptz not null default clock_timestamp()
);
create index model_costs_tenant_id_idx on public.model_costs (tenant_id, at desc);
create index model_costs_user_id_idx on public.model_costs (user_id);
create index model_costs_job_id_idx on public.model_costs (job_id);
create index model_costs_at_idx on public.model_costs (at desc);

alter table public.tenant_caps enable row level security;
alter table public.model_costs enable row level security;
revoke all on public.tenant_caps, public.model_costs
    from public, anon, authenticated, service_role;
grant select on public.tenant_caps, public.model_costs to service_role;
grant select on public.tenant_caps, public.model_costs to authenticated;

create policy members_read_caps on public.tenant_caps
    for select to authenticated using (
        tenant_id = any (
            array(select tenant_id from public.tenant_members where user_id = (select auth.uid()))
        )
    );
create policy members_read_model_costs on public.model_costs
    for select to authenticated using (
        tenant_id = any (
            array(select tenant_id from public.tenant_members where user_id = (select auth.uid()))
        )
    );

-- What is spent and set aside by scope: job:<id>, user:<id>:<day>, tenant:<id>:<month>, all:<day>.
create table private.cost_sums (
    scope text primary key,
    spent bigint not null default 0 check (spent >= 0),
    reserved bigint not null default 0 check (reserved >= 0),
    at timestamptz not null default clock_timestamp()
);
create index cost_sums_at_idx on private.cost_sums (at);

create table private.cost_reservations (
    id uuid primary key,
    tenant_id uuid not null,
    user_id uuid,
    job_id uuid,
    purpose text not null,
    model text not null,
    nano_usd bigint not null check (nano_usd >= 0),
    scopes text[] not null,
    at timestamptz not null default clock_timestamp()
);
create index cost_reservations_job_id_idx on private.cost_reservations (job_id);
create index cost_reservations_at_idx on private.cost_reservations (at);
alter table private.cost_sums enable row level security;
alter table private.cost_reservations enable row level security;
revoke all on private.cost_sums, private.cost_reservations
    from public, anon, authenticated, service_role;

-- --- caps ---------------------------------------------------------------------------------

-- Scope, cap and its name, in the order in which they are locked. p_caps: job, user_day, day.
create function private.cost_caps(p_tenant uuid, p_user uuid, p_job uuid, p_caps jsonb)
returns table (scope text, cap bigint, name text)
language sql stable security definer set search_path = '' as $$
    with today as (
        select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD') as day
    ), own as (
        select caps.* from (values (p_tenant)) as one (id)
          left join public.tenant_caps as caps on caps.tenant_id = one.id
    ), plan as (
        select plan.month_nano_usd
          from public.tenants as tenant join public.plans as plan on plan.name = tenant.plan
         where tenant.id = p_tenant
    )
    select 'all:' || day, (p_caps ->> 'day')::bigint, 'day' from today
    union all
    select 'job:' || p_job,
           least(
               coalesce(own.job_nano_usd, (p_caps ->> 'job')::bigint),
               (select cap_nano_usd from public.jobs where id = p_job)
           ),
           'job'
      from own where p_job is not null
    union all
    select 'tenant:' || p_tenant || ':' || left(day, 7),
           coalesce(own.month_nano_usd, (select month_nano_usd from plan)), 'plan'
      from own, today
    union all
    select 'user:' || p_user || ':' || day,
           coalesce(own.user_day_nano_usd, (p_caps ->> 'user_day')::bigint), 'user'
      from own, today where p_user is not null
$$;

-- Which cap leaves nothing at all; null when a call may still be tried.
create function public.reached_cap(p_tenant uuid, p_user uuid, p_caps jsonb) returns text
language sql stable security definer set search_path = '' as $$
    select caps.name
      from private.cost_caps(p_tenant, p_user, null, p_caps) as caps
      left join private.cost_sums as sums on sums.scope = caps.scope
     where coalesce(sums.spent, 0) + coalesce(sums.reserved, 0) >= caps.cap
     order by caps.name
     limit 1
$$;

-- Sets aside the most that a call can cost. p: id, job_id, claim, purpose, model, nano_usd; without
-- a job tenant_id and user_id. Answers {} or the cap that forbids it. Rows are locked in one order,
-- so that two of these wait for each other and never for ever.
create function public.reserve_cost(p jsonb, p_caps jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant uuid := p ->> 'tenant_id';
    v_user uuid := p ->> 'user_id';
    v_job public.jobs;
    v_amount bigint := p ->> 'nano_usd';
    v_scopes text[];
    v_over record;
begin
    if v_amount is null or v_amount < 0 then
        perform private.refuse(422, 'invalid_amount', 'What is set aside is not negative.');
    end if;
    perform private.require_switch('generation');
    if p ->> 'job_id' is not null then
        select * into v_job from public.jobs
         where id = (p ->> 'job_id')::uuid and claims = (p ->> 'claim')::int and status = 'running'
           for share;
        if not found then
            perform private.refuse(409, 'job_lost', 'This worker does not have the job any more.');
        end if;
        v_tenant := v_job.tenant_id;
        v_user := v_job.created_by;
    end if;
    select array_agg(scope order by scope) into v_scopes
      from private.cost_caps(v_tenant, v_user, v_job.id, p_caps);
    insert into private.cost_sums (scope)
    select scope from unnest(v_scopes) as one (scope) order by scope
    on conflict do nothing;
    perform from private.cost_sums where scope = any (v_scopes) order by scope for update;
    select caps.name, caps.cap, sums.spent, sums.reserved into v_over
      from private.cost_caps(v_tenant, v_user, v_job.id, p_caps) as caps
      join private.cost_sums as sums on sums.scope = caps.scope
     where sums.spent + sums.reserved + v_amount > caps.cap
     order by array_position(array['job', 'user', 'plan', 'day'], caps.name)
     limit 1;
    if found then
        return jsonb_build_object(
            'cap', v_over.name, 'cap_nano_usd', v_over.cap, 'spent_nano_usd', v_over.spent
        );
    end if;
    update private.cost_sums set reserved = reserved + v_amount where scope = any (v_scopes);
    insert into private.cost_reservations
        (id, tenant_id, user_id, job_id, purpose, model, nano_usd, scopes)
    values (
        (p ->> 'id')::uuid, v_tenant, v_user, v_job.id, p ->> 'purpose', p ->> 'model',
        v_amount, v_scopes
    );
    return '{}';
end
$$;

-- Takes a reservation away and puts what was spent in its place; the caller writes the row.
create function private.close_reservation(p_id uuid, p_spent bigint)
returns private.cost_reservations
language plpgsql security definer set search_path = '' as $$
declare
    v_one private.cost_reservations;
begin
    delete from private.cost_reservations where id = p_id returning * into v_one;
    if v_one.id is not null then
        perform from private.cost_sums where scope = any (v_one.scopes) order by scope for update;
        update private.cost_sums
           set reserved = reserved - v_one.nano_usd, spent = spent + p_spent
         where scope = any (v_one.scopes);
        update public.jobs set cost_nano_usd = cost_nano_usd + p_spent where id = v_one.job_id;
    end if;
    return v_one;
end
$$;

-- What a call really was. p: id, provider, model, request_id, tokens, price, nano_usd,
-- duration_ms, stop. Answers what its job has cost so far; twice is once.
create function public.settle_cost(p jsonb) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    v_one private.cost_reservations;
    v_spent bigint := p ->> 'nano_usd';
begin
    v_one := private.close_reservation((p ->> 'id')::uuid, v_spent);
    if v_one.id is null then
        return (
            select job.cost_nano_usd from public.model_costs as cost
              join public.jobs as job on job.id = cost.job_id
             where cost.id = (p ->> 'id')::uuid
        );
    end if;
    insert into public.model_costs (
        id, tenant_id, user_id, job_id, purpose, provider, model, request_id, input_tokens,
        output_tokens, cache_write_5m_tokens, cache_write_1h_tokens, cache_read_tokens, price,
        nano_usd, reserved_nano_usd, duration_ms, stop
    )
    values (
        v_one.id, (select id from public.tenants where id = v_one.tenant_id),
        (select id from public.user_profiles where id = v_one.user_id), v_one.job_id,
        v_one.purpose, p ->> 'provider', p ->> 'model', left(p ->> 'request_id', 200),
        (p -> 'tokens' ->> 'input')::bigint, (p -> 'tokens' ->> 'output')::bigint,
        (p -> 'tokens' ->> 'cache_write_5m')::bigint, (p -> 'tokens' ->> 'cache_write_1h')::bigint,
        (p -> 'tokens' ->> 'cache_read')::bigint, p ->> 'price', v_spent, v_one.nano_usd,
        (p ->> 'duration_ms')::bigint, left(p ->> 'stop', 60)
    );
    return (select cost_nano_usd from public.jobs where id = v_one.job_id);
end
$$;

create function public.release_cost(p_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform private.close_reservation(p_id, 0);
end
$$;

-- A worker that died may have been answered: what it had set aside counts as spent, since it
-- is the most that it can have been.
create function private.lose_reservation(p_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_amount bigint := (select nano_usd from private.cost_reservations where id = p_id);
    v_one private.cost_reservations := private.close_reservation(p_id, v_amount);
begin
    if v_one.id is not null then
        insert into public.model_costs (
            id, tenant_id, user_id, job_id, purpose, provider, model, nano_usd,
            reserved_nano_usd, stop
        )
        values (
            v_one.id, (select id from public.tenants where id = v_one.tenant_id),
            (select id from public.user_profiles where id = v_one.user_id), v_one.job_id,
            v_one.purpose, '', v_one.model, v_one.nano_usd, v_one.nano_usd, 'lost'
        );
    end if;
end
$$;

create function private.lose_reservations(p_job uuid) returns void
language sql security definer set search_path = '' as $$
    select private.lose_reservation(id) from private.cost_reservations where job_id = p_job
$$;

-- Sums of days and months that are over, and of jobs that are gone; reservations that nobody
-- settled within a day.
create function private.purge_cost_sums() returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform private.lose_reservation(id)
       from private.cost_reservations where at < clock_timestamp() - interval '1 day';
    delete from private.cost_sums
     where at < clock_timestamp() - interval '40 days' and reserved = 0
       and not exists (
            select from public.jobs
             where scope = 'job:' || jobs.id and jobs.finished_at is null
       );
end
$$;

-- --- administrators -----------------------------------------------------------------------

-- p: job_nano_usd, user_day_nano_usd, month_nano_usd; null is what holds for everybody, what is
-- absent stays.
create function public.set_tenant_caps(p_tenant_id uuid, p jsonb, p_actor uuid default null)
returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_caps public.tenant_caps;
begin
    perform private.hold_tenant(p_tenant_id);
    insert into public.tenant_caps (tenant_id) values (p_tenant_id) on conflict do nothing;
    update public.tenant_caps
       set job_nano_usd =
               case when p ? 'job_nano_usd' then (p ->> 'job_nano_usd')::bigint else job_nano_usd end,
           user_day_nano_usd = case
               when p ? 'user_day_nano_usd' then (p ->> 'user_day_nano_usd')::bigint
               else user_day_nano_usd
           end,
           month_nano_usd = case
               when p ? 'month_nano_usd' then (p ->> 'month_nano_usd')::bigint
               else month_nano_usd
           end,
           updated_at = clock_timestamp()
     where tenant_id = p_tenant_id
    returning * into v_caps;
    perform private.audit(p_actor, 'tenant.set_caps', 'tenant', p_tenant_id::text, p);
    return to_jsonb(v_caps);
end
$$;

-- By tenant and day, newest day first, dearest tenant first.
create function public.admin_model_costs(p_since timestamptz, p_tenant uuid, p_limit int)
returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(one)), '[]')
      from (
        select to_char(cost.at at time zone 'UTC', 'YYYY-MM-DD') as day, cost.tenant_id,
               tenant.name as tenant, count(*) as calls, sum(cost.nano_usd)::bigint as nano_usd,
               count(distinct cost.job_id) as jobs
          from public.model_costs as cost
          left join public.tenants as tenant on tenant.id = cost.tenant_id
         where cost.at >= p_since and (p_tenant is null or cost.tenant_id = p_tenant)
         group by 1, 2, 3
         order by 1 desc, 5 desc, 2
         limit p_limit
      ) as one
$$;

revoke all on function
    private.cost_caps,
    public.reached_cap,
    public.reserve_cost,
    private.close_reservation,
    public.settle_cost,
    public.release_cost,
    private.lose_reservation,
    private.lose_reservations,
    private.purge_cost_sums,
    public.set_tenant_caps,
    public.admin_model_costs
from public, anon, authenticated;
grant execute on function
    private.cost_caps,
    public.reached_cap,
    public.reserve_cost,
    private.close_reservation,
    public.settle_cost,
    public.release_cost,
    private.lose_reservation,
    private.lose_reservations,
    private.purge_cost_sums,
    public.set_tenant_caps,
    public.admin_model_costs
to service_role;
