-- Jobs: what somebody asked to be made, how far it has come, and every step as an event.

create table public.jobs (
    id uuid primary key,
    tenant_id uuid not null references public.tenants on delete cascade,
    created_by uuid references public.user_profiles on delete set null,
    batch_id uuid,
    retry_of uuid,
    prompt text not null check (char_length(prompt) between 1 and 50000),
    name text not null default '' check (char_length(name) <= 100),
    answers jsonb not null default '{}' check (jsonb_typeof(answers) = 'object'),
    template text check (char_length(template) between 1 and 100),
    approve text not null default 'auto' check (approve in ('auto', 'ask')),
    status text not null default 'queued'
        check (status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    -- what a queued job waits for before a worker may take it
    waiting_for text check (waiting_for in ('answers', 'approval')),
    is_approved boolean not null default false,
    is_asked boolean not null default false,  -- its questions were put to somebody already
    cancel_requested boolean not null default false,
    contract jsonb,
    findings jsonb not null default '[]',
    questions jsonb not null default '[]',
    assumptions jsonb not null default '[]',
    report jsonb,
    model text,
    failure jsonb,  -- code and reason
    cost_nano_usd bigint not null default 0 check (cost_nano_usd >= 0),
    cap_nano_usd bigint check (cap_nano_usd >= 0),
    api_id uuid references public.apis on delete set null,
    version int,
    checkpoint jsonb not null default '{}',
    -- chosen when the job is made, so that storing twice is storing once
    new_api_id uuid not null,
    new_version_id uuid not null,
    idempotency_key text check (char_length(idempotency_key) between 1 and 200),
    request_hash text,
    worker text,
    claims int not null default 0,  -- whoever holds another number than this writes nothing
    attempts int not null default 0,
    heartbeat_at timestamptz,
    events int not null default 0,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    check ((status = 'running') = (worker is not null)),
    check (waiting_for is null or status = 'queued'),
    check ((status in ('succeeded', 'failed', 'cancelled')) = (finished_at is not null))
);
create index jobs_tenant_id_idx on public.jobs (tenant_id, created_at desc, id);
create index jobs_created_by_idx on public.jobs (created_by);
create index jobs_created_at_idx on public.jobs (created_at desc, id);
create index jobs_api_id_idx on public.jobs (api_id);
create index jobs_open_idx on public.jobs (created_at) where status in ('queued', 'running');
create index jobs_finished_at_idx on public.jobs (finished_at) where finished_at is not null;
create unique index jobs_idempotency_idx
    on public.jobs (tenant_id, created_by, idempotency_key) nulls not distinct
    where idempotency_key is not null;

create table public.job_events (
    job_id uuid not null references public.jobs on delete cascade,
    n int not null check (n > 0),
    tenant_id uuid not null references public.tenants on delete cascade,
    at timestamptz not null default clock_timestamp(),
    kind text not null check (kind ~ '^[a-z_]{1,40}$'),
    text text not null check (char_length(text) <= 2000),
    data jsonb not null default '{}',
    primary key (job_id, n)
);
create index job_events_tenant_id_idx on public.job_events (tenant_id);

-- --- who may read -------------------------------------------------------------------------

alter table public.jobs enable row level security;
alter table public.job_events enable row level security;
revoke all on public.jobs, public.job_events from public, anon, authenticated, service_role;
grant select on public.jobs, public.job_events to service_role;
grant select on public.job_events to authenticated;
grant select (
    id, tenant_id, created_by, batch_id, retry_of, prompt, name, answers, template, approve,
    status, waiting_for, is_approved, cancel_requested, contract, findings, questions,
    assumptions, report, model, failure, cost_nano_usd, cap_nano_usd, api_id, version, attempts,
    events, created_at, updated_at, started_at, finished_at
) on public.jobs to authenticated;

create policy members_read_jobs on public.jobs
    for select to authenticated using (
        tenant_id = any (
            array(select tenant_id from public.tenant_members where user_id = (select auth.uid()))
        )
    );
create policy members_read_job_events on public.job_events
    for select to authenticated using (
        tenant_id = any (
            array(select tenant_id from public.tenant_members where user_id = (select auth.uid()))
        )
    );

-- --- parts --------------------------------------------------------------------------------

-- Adds events under the lock of the job's row, which gives them their numbers.
-- p_events: [{kind, text, data}]
create function private.add_job_events(p_job public.jobs, p_events jsonb) returns int
language plpgsql security definer set search_path = '' as $$
declare
    v_count int := coalesce(jsonb_array_length(p_events), 0);
begin
    insert into public.job_events (job_id, n, tenant_id, kind, text, data)
    select p_job.id, p_job.events + one.number, p_job.tenant_id, one.event ->> 'kind',
           left(one.event ->> 'text', 2000), coalesce(one.event -> 'data', '{}')
      from jsonb_array_elements(coalesce(p_events, '[]')) with ordinality as one (event, number);
    update public.jobs
       set events = events + v_count, updated_at = clock_timestamp()
     where id = p_job.id;
    return p_job.events + v_count;
end
$$;

-- The job, locked, while this worker still has it; nothing when somebody else took it over.
create function private.held_job(p_id uuid, p_claim int) returns public.jobs
language sql security definer set search_path = '' as $$
    select * from public.jobs where id = p_id and claims = p_claim and status = 'running' for update
$$;

create function private.one_event(p_kind text, p_text text, p_data jsonb default '{}')
returns jsonb
language sql immutable set search_path = '' as $$
    select jsonb_build_array(jsonb_build_object('kind', p_kind, 'text', p_text, 'data', p_data))
$$;

-- A worker goes on from the last contract that the events tell.
create function private.contract_event(p_contract jsonb, p_text text) returns jsonb
language sql immutable set search_path = '' as $$
    select private.one_event('contract', p_text, jsonb_build_object('contract', p_contract))
$$;

create function private.end_job(
    p_job public.jobs, p_status text, p_failure jsonb, p_events jsonb
) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update public.jobs
       set status = p_status, failure = p_failure, worker = null, heartbeat_at = null,
           waiting_for = null, finished_at = clock_timestamp()
     where id = p_job.id;
    perform private.add_job_events(p_job, p_events);
end
$$;

-- --- what people ask for ------------------------------------------------------------------

-- p: id, tenant_id, created_by, prompt, name, answers, template, approve, batch_id, retry_of,
-- cap_nano_usd, contract, is_approved, idempotency_key, request_hash, api_id,
-- version_id. Answers the job's id, and whether it is a new one.
create function private.create_job(p jsonb, p_open int) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_tenant public.tenants;
    v_actor uuid := p ->> 'created_by';
    v_job public.jobs;
begin
    perform private.require_switch('generation');
    select * into v_tenant from public.tenants where id = (p ->> 'tenant_id')::uuid for key share;
    if not found then
        perform private.refuse(404, 'tenant_not_found', 'There is no such tenant.');
    end if;
    perform private.require_operation(v_tenant.id, v_actor, 'create_api');
    perform private.require_running(v_tenant, v_actor);
    -- one at a time in one tenant: what is counted below is newer than the lock
    perform pg_advisory_xact_lock(hashtextextended('jobs ' || v_tenant.id, 0));
    if p ->> 'idempotency_key' is not null then
        select * into v_job from public.jobs
         where tenant_id = v_tenant.id and created_by is not distinct from v_actor
           and idempotency_key = p ->> 'idempotency_key';
        if found and v_job.request_hash is distinct from p ->> 'request_hash' then
            perform private.refuse(
                409, 'idempotency_key_reused', 'This key came with another request before.'
            );
        elsif found then
            return jsonb_build_object('id', v_job.id, 'is_new', false);
        end if;
    end if;
    if (
        select count(*) from public.jobs
         where tenant_id = v_tenant.id and status in ('queued', 'running')
    ) >= p_open then
        perform private.refuse(
            429, 'too_many_jobs', format('A tenant has at most %s jobs that are not over.', p_open)
        );
    end if;
    if coalesce(p ->> 'name', '') <> '' and exists (
        select from public.apis where tenant_id = v_tenant.id and name = p ->> 'name'
    ) then
        perform private.refuse(409, 'name_taken', 'Another API of this tenant has this name.');
    end if;
    insert into public.jobs (
        id, tenant_id, created_by, batch_id, retry_of, prompt, name, answers, template, approve,
        cap_nano_usd, contract, is_approved, idempotency_key, request_hash,
        new_api_id, new_version_id
    )
    values (
        (p ->> 'id')::uuid, v_tenant.id, v_actor, (p ->> 'batch_id')::uuid,
        (p ->> 'retry_of')::uuid, p ->> 'prompt', coalesce(p ->> 'name', ''),
        coalesce(nullif(p -> 'answers', 'null'), '{}'), p ->> 'template',
        coalesce(p ->> 'approve', 'auto'), (p ->> 'cap_nano_usd')::bigint,
        nullif(p -> 'contract', 'null'),
        coalesce((p ->> 'is_approved')::boolean, false), p ->> 'idempotency_key',
        p ->> 'request_hash', (p ->> 'api_id')::uuid, (p ->> 'version_id')::uuid
    )
    returning * into v_job;
    perform private.add_job_events(
        v_job,
        private.one_event('queued', 'It waits for its turn.') || case
            when v_job.contract is null then '[]'
            else private.contract_event(v_job.contract, 'The contract is there already.')
        end
    );
    return jsonb_build_object('id', v_job.id, 'is_new', true);
end
$$;

-- All of them or none, in their order.
create function public.create_jobs(p jsonb, p_open int) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_one jsonb;
    v_made jsonb := '[]';
begin
    for v_one in select value from jsonb_array_elements(p) loop
        v_made := v_made || jsonb_build_array(private.create_job(v_one, p_open));
    end loop;
    return v_made;
end
$$;

-- A job that runs is told and ends soon after; asking again changes nothing.
create function public.cancel_job(p_id uuid, p_actor uuid default null) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs;
begin
    select * into v_job from public.jobs where id = p_id for update;
    if not found then
        perform private.refuse(404, 'job_not_found', 'There is no such job.');
    end if;
    perform private.require_operation(v_job.tenant_id, p_actor, 'create_api');
    if v_job.status in ('succeeded', 'failed') then
        perform private.refuse(409, 'job_over', 'The job is over; there is nothing to cancel.');
    elsif v_job.status = 'queued' then
        perform private.end_job(
            v_job, 'cancelled', null, private.one_event('cancelled', 'It was cancelled.')
        );
    elsif v_job.status = 'running' then
        update public.jobs
           set cancel_requested = true, updated_at = clock_timestamp()
         where id = v_job.id;
    end if;
end
$$;

-- What a person says to a job that waits. p: contract (as it shall be), answers.
create function public.answer_job(p_id uuid, p jsonb, p_actor uuid default null) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs;
    v_contract jsonb := nullif(p -> 'contract', 'null');
begin
    perform private.require_switch('generation');
    select * into v_job from public.jobs where id = p_id for update;
    if not found then
        perform private.refuse(404, 'job_not_found', 'There is no such job.');
    end if;
    perform private.require_operation(v_job.tenant_id, p_actor, 'create_api');
    if v_job.waiting_for is null then
        perform private.refuse(409, 'job_not_waiting', 'The job waits for nobody.');
    end if;
    update public.jobs
       set answers = answers || coalesce(nullif(p -> 'answers', 'null'), '{}'),
           contract = coalesce(v_contract, contract),
           is_approved = is_approved or waiting_for = 'approval',
           waiting_for = null
     where id = v_job.id;
    perform private.add_job_events(
        v_job,
        case
            when v_job.waiting_for = 'answers'
            then private.one_event('answered', 'The questions were answered.')
            when v_contract is null
            then private.contract_event(v_job.contract, 'The contract was accepted.')
            else private.contract_event(v_contract, 'The contract was changed and accepted.')
        end
    );
end
$$;

-- --- what workers do ----------------------------------------------------------------------

-- Jobs whose worker died: queued again, or over after `p_attempts`. Answers how many.
create function public.reclaim_jobs(p_dead_seconds double precision, p_attempts int) returns int
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs;
    v_count int := 0;
begin
    for v_job in
        select * from public.jobs
         where status = 'running'
           and heartbeat_at < clock_timestamp() - make_interval(secs => p_dead_seconds)
         order by heartbeat_at
           for update skip locked
    loop
        v_count := v_count + 1;
        perform private.lose_reservations(v_job.id);
        if v_job.cancel_requested then
            perform private.end_job(
                v_job, 'cancelled', null, private.one_event('cancelled', 'It was cancelled.')
            );
        elsif v_job.attempts >= p_attempts then
            perform private.end_job(
                v_job, 'failed',
                jsonb_build_object(
                    'code', 'worker_died',
                    'reason', format('The worker died %s times while it worked on this.', v_job.attempts)
                ),
                private.one_event(
                    'failed', 'The worker died too often.', '{"code": "worker_died"}'
                )
            );
        else
            update public.jobs
               set status = 'queued', worker = null, heartbeat_at = null
             where id = v_job.id;
            perform private.add_job_events(
                v_job, private.one_event('queued', 'Its worker died; another one goes on.')
            );
        end if;
    end loop;
    return v_count;
end
$$;

-- The next job in turn: of the tenant that has the fewest running, the oldest. Null: none.
create function public.claim_job(p_worker text, p_tenant_running int) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs;
begin
    if private.is_stopped('generation') then
        return null;
    end if;
    select job.* into v_job
      from public.jobs as job
      join public.tenants as tenant on tenant.id = job.tenant_id and tenant.status = 'active'
      cross join lateral (
          select count(*) as quantity from public.jobs as other
           where other.tenant_id = job.tenant_id and other.status = 'running'
      ) as running
     where job.status = 'queued' and job.waiting_for is null
       and running.quantity < p_tenant_running
     order by running.quantity, job.created_at, job.id
     limit 1
       for update of job skip locked;
    if not found then
        return null;
    end if;
    update public.jobs
       set status = 'running', worker = p_worker, claims = claims + 1, attempts = attempts + 1,
           heartbeat_at = clock_timestamp(), updated_at = clock_timestamp(),
           started_at = coalesce(started_at, clock_timestamp())
     where id = v_job.id
    returning * into v_job;
    return to_jsonb(v_job);
end
$$;

-- Answers what the worker shall do: go on, cancel, stop (hand it back) or leave (not its any more).
create function public.beat_job(p_id uuid, p_claim int) returns text
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs := private.held_job(p_id, p_claim);
begin
    if v_job.id is null then
        return 'leave';
    end if;
    update public.jobs set heartbeat_at = clock_timestamp() where id = p_id;
    if v_job.cancel_requested then
        return 'cancel';
    elsif private.is_stopped('generation') or exists (
        select from public.tenants where id = v_job.tenant_id and status <> 'active'
    ) then
        return 'stop';
    end if;
    return 'go';
end
$$;

-- Events, and what they tell of the job, in one step; false when the job is not this worker's.
-- p: events, checkpoint (parts that replace theirs), contract, questions, assumptions, findings,
-- report, model
create function public.advance_job(p_id uuid, p_claim int, p jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs := private.held_job(p_id, p_claim);
begin
    if v_job.id is null then
        return false;
    end if;
    update public.jobs
       set heartbeat_at = clock_timestamp(),
           checkpoint = checkpoint || coalesce(p -> 'checkpoint', '{}'),
           contract = coalesce(p -> 'contract', contract),
           questions = coalesce(p -> 'questions', questions),
           assumptions = coalesce(p -> 'assumptions', assumptions),
           findings = coalesce(p -> 'findings', findings),
           report = coalesce(p -> 'report', report),
           model = coalesce(p ->> 'model', model)
     where id = p_id;
    perform private.add_job_events(v_job, p -> 'events');
    return true;
end
$$;

-- Over; p_status is succeeded, failed or cancelled.
create function public.finish_job(
    p_id uuid, p_claim int, p_status text, p_failure jsonb, p_events jsonb
) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs := private.held_job(p_id, p_claim);
begin
    if v_job.id is null then
        return false;
    end if;
    perform private.end_job(v_job, p_status, p_failure, p_events);
    return true;
end
$$;

-- Back into the queue: with `p_waiting_for` until somebody says something, otherwise at once,
-- and then it was no attempt.
create function public.put_job_back(
    p_id uuid, p_claim int, p_waiting_for text, p_events jsonb
) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs := private.held_job(p_id, p_claim);
begin
    if v_job.id is null then
        return false;
    end if;
    update public.jobs
       set status = 'queued', worker = null, heartbeat_at = null, waiting_for = p_waiting_for,
           is_asked = is_asked or p_waiting_for is not distinct from 'answers',
           attempts = attempts - 1
     where id = p_id;
    perform private.add_job_events(v_job, p_events);
    return true;
end
$$;

-- Jobs that were over `p_days` ago go with their events; who waited a week for an answer is
-- not waiting any more. Answers how many rows that were; some at a time.
create function public.purge_jobs(p_days int, p_rows int default 500) returns int
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs;
    v_count int := 0;
begin
    for v_job in
        select * from public.jobs
         where waiting_for is not null and updated_at < clock_timestamp() - interval '7 days'
         limit p_rows
           for update skip locked
    loop
        v_count := v_count + 1;
        perform private.end_job(
            v_job, 'cancelled', null,
            private.one_event('cancelled', 'Nobody answered for seven days.')
        );
    end loop;
    with gone as (
        delete from public.jobs where id in (
            select id from public.jobs
             where finished_at < clock_timestamp() - make_interval(days => p_days)
             order by finished_at
             limit p_rows
               for update skip locked
        )
        returning 1
    )
    select v_count + count(*)::int into v_count from gone;
    perform private.purge_cost_sums();
    return v_count;
end
$$;

revoke all on function
    private.add_job_events,
    private.held_job,
    private.one_event,
    private.contract_event,
    private.end_job,
    private.create_job,
    public.create_jobs,
    public.cancel_job,
    public.answer_job,
    public.reclaim_jobs,
    public.claim_job,
    public.beat_job,
    public.advance_job,
    public.finish_job,
    public.put_job_back,
    public.purge_jobs
from public, anon, authenticated;
grant execute on function
    private.add_job_events,
    private.held_job,
    private.one_event,
    private.contract_event,
    private.end_job,
    private.create_job,
    public.create_jobs,
    public.cancel_job,
    public.answer_job,
    public.reclaim_jobs,
    public.claim_job,
    public.beat_job,
    public.advance_job,
    public.finish_job,
    public.put_job_back,
    public.purge_jobs
to service_role;
