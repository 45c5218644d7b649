-- Where a version that was made from words comes from, stored together with it.

create table public.version_origins (
    version_id uuid primary key references public.api_versions on delete cascade,
    api_id uuid not null references public.apis on delete cascade,
    job_id uuid,
    prompt text not null,
    contract jsonb not null,
    body text not null,
    findings jsonb not null default '[]',
    report jsonb,
    model text not null default '',
    template text,
    level text not null default 'major' check (level in ('patch', 'minor', 'major')),
    cost_nano_usd bigint not null default 0 check (cost_nano_usd >= 0),
    created_at timestamptz not null default clock_timestamp()
);
create index version_origins_api_id_idx on public.version_origins (api_id);
create index version_origins_job_id_idx on public.version_origins (job_id);

alter table public.version_origins enable row level security;
revoke all on public.version_origins from public, anon, authenticated, service_role;
grant select on public.version_origins to service_role, authenticated;
create policy members_read_origins on public.version_origins
    for select to authenticated using (
        api_id = any (
            array(
                select api.id
                  from public.apis as api
                  join public.tenant_members as member on member.tenant_id = api.tenant_id
                 where member.user_id = (select auth.uid())
            )
        )
    );

-- API, version, deployment, origin and the job's own row in one step, while the worker has the
-- job; once more is the same API. p_api: as create_api takes it; p_origin: contract, body,
-- findings, report, model, level. Null when the job is not this worker's.
create function public.store_job(
    p_id uuid, p_claim int, p_api jsonb, p_origin jsonb, p_events jsonb,
    p_document json default null, p_note text default null
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs := private.held_job(p_id, p_claim);
    v_api jsonb;
begin
    if v_job.id is null then
        return null;
    elsif v_job.api_id is not null then
        return private.api_json(v_job.api_id);
    end if;
    perform private.require_operation(v_job.tenant_id, v_job.created_by, 'create_api');
    v_api := public.create_api(p_api || jsonb_build_object(
        'id', v_job.new_api_id, 'version_id', v_job.new_version_id,
        'tenant_id', v_job.tenant_id, 'created_by', v_job.created_by
    ));
    insert into public.version_origins (
        version_id, api_id, job_id, prompt, contract, body, findings, report, model, template,
        level, cost_nano_usd
    )
    values (
        v_job.new_version_id, v_job.new_api_id, v_job.id, v_job.prompt, p_origin -> 'contract',
        p_origin ->> 'body', coalesce(p_origin -> 'findings', '[]'), p_origin -> 'report',
        coalesce(p_origin ->> 'model', ''), v_job.template,
        coalesce(p_origin ->> 'level', 'major'), v_job.cost_nano_usd
    );
    if p_document is not null or p_note is not null then
        perform public.set_version_openapi(v_job.new_version_id, p_document, p_note);
    end if;
    update public.jobs
       set api_id = v_job.new_api_id, version = 1, heartbeat_at = clock_timestamp()
     where id = v_job.id;
    update public.model_costs set api_id = v_job.new_api_id, version = 1 where job_id = v_job.id;
    perform private.add_job_events(v_job, p_events);
    return v_api;
end
$$;

revoke all on function
    public.store_job
from public, anon, authenticated;
grant execute on function
    public.store_job
to service_role;
