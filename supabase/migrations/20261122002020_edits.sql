-- Edits: jobs that start from the version that answers, and make the next one beside it.

create table public.job_edits (
    job_id uuid primary key references public.jobs on delete cascade,
    tenant_id uuid not null references public.tenants on delete cascade,
    api_id uuid not null references public.apis on delete cascade,
    from_version_id uuid not null references public.api_versions on delete cascade,
    version_id uuid references public.api_versions on delete cascade,
    level text check (level in ('patch', 'minor', 'major')),
    breaking jsonb not null default '[]' check (jsonb_typeof(breaking) = 'array'),
    decision text not null default 'open' check (decision in ('open', 'accepted', 'rejected')),
    decided_by uuid references public.user_profiles on delete set null,
    decided_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    check ((decision = 'open') = (decided_at is null))
);
create index job_edits_api_id_idx on public.job_edits (api_id, created_at desc);
create index job_edits_tenant_id_idx on public.job_edits (tenant_id);
create index job_edits_from_version_id_idx on public.job_edits (from_version_id);
create index job_edits_version_id_idx on public.job_edits (version_id);
create index job_edits_decided_by_idx on public.job_edits (decided_by);

alter table public.job_edits enable row level security;
revoke all on public.job_edits from public, anon, authenticated, service_role;
grant select on public.job_edits to service_role, authenticated;
create policy members_read_edits on public.job_edits
    for select to authenticated using (
        tenant_id = any (
            array(select tenant_id from public.tenant_members where user_id = (select auth.uid()))
        )
    );

-- The version that answers most calls of an API now.
create function private.live_version(p_api_id uuid) returns uuid
language sql stable security definer set search_path = '' as $$
    select version_id from public.deployments
     where api_id = p_api_id and status = 'active'
     order by weight desc, created_at desc
     limit 1
$$;

-- p: as create_jobs takes one, with edits_api_id, and origin (contract, body, template) for a
-- version that is a template's, byte by byte, and has none yet. Answers id and is_new.
create function public.create_edit(p jsonb, p_open int) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_api public.apis;
    v_live uuid;
    v_made jsonb;
begin
    select * into v_api from public.apis where id = (p ->> 'edits_api_id')::uuid for key share;
    if not found then
        perform private.refuse(404, 'api_not_found', 'There is no such API.');
    end if;
    perform private.require_operation(v_api.tenant_id, (p ->> 'created_by')::uuid, 'deploy');
    v_live := private.live_version(v_api.id);
    insert into public.version_origins (version_id, api_id, prompt, contract, body, template)
    select v_live, v_api.id, 'The template ' || (p -> 'origin' ->> 'template'),
           p -> 'origin' -> 'contract', p -> 'origin' ->> 'body', p -> 'origin' ->> 'template'
     where v_live = (p -> 'origin' ->> 'version_id')::uuid
    on conflict do nothing;
    if not exists (select from public.version_origins where version_id = v_live) then
        perform private.refuse(
            409, 'not_from_words',
            'The version that answers was not made from words or a template, so it has no contract.'
        );
    end if;
    v_made := private.create_job(p || jsonb_build_object('tenant_id', v_api.tenant_id), p_open);
    if (v_made ->> 'is_new')::boolean then
        insert into public.job_edits (job_id, tenant_id, api_id, from_version_id)
        values ((v_made ->> 'id')::uuid, v_api.tenant_id, v_api.id, v_live);
    elsif not exists (
        select from public.job_edits
         where job_id = (v_made ->> 'id')::uuid and api_id = v_api.id
    ) then
        perform private.refuse(
            409, 'idempotency_key_reused', 'This key came with another request before.'
        );
    end if;
    return v_made;
end
$$;

-- What an edit starts from; null for a job that is none.
create function public.edit_start(p_job_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'api', private.api_json(edit.api_id), 'contract', origin.contract, 'body', origin.body
    )
      from public.job_edits as edit
      join public.version_origins as origin on origin.version_id = edit.from_version_id
     where edit.job_id = p_job_id
$$;

-- The next version with its origin, deployed nowhere, while the worker has the job; once more is
-- the same version. p_version: code, digest, lock, layer; p_origin: as store_job takes it, with
-- breaking. Null when the job is not this worker's.
create function public.store_edit(
    p_id uuid, p_claim int, p_version jsonb, p_origin jsonb, p_events jsonb,
    p_document json default null, p_note text default null
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs := private.held_job(p_id, p_claim);
    v_edit public.job_edits;
    v_added jsonb;
begin
    if v_job.id is null then
        return null;
    end if;
    select * into v_edit from public.job_edits where job_id = v_job.id for update;
    if v_job.version is not null then
        return jsonb_build_object('api_id', v_edit.api_id, 'version', v_job.version);
    end if;
    perform private.require_operation(v_job.tenant_id, v_job.created_by, 'deploy');
    v_added := public.add_version(p_version || jsonb_build_object(
        'api_id', v_edit.api_id, 'version_id', v_job.new_version_id,
        'created_by', v_job.created_by, 'deploy', false
    ));
    insert into public.version_origins (
        version_id, api_id, job_id, prompt, contract, body, findings, report, model, level,
        cost_nano_usd
    )
    values (
        v_job.new_version_id, v_edit.api_id, v_job.id, v_job.prompt, p_origin -> 'contract',
        p_origin ->> 'body', coalesce(p_origin -> 'findings', '[]'), p_origin -> 'report',
        coalesce(p_origin ->> 'model', ''), coalesce(p_origin ->> 'level', 'major'),
        v_job.cost_nano_usd
    );
    if p_document is not null or p_note is not null then
        perform public.set_version_openapi(v_job.new_version_id, p_document, p_note);
    end if;
    update public.job_edits
       set version_id = v_job.new_version_id,
           level = coalesce(p_origin ->> 'level', 'major'),
           breaking = coalesce(nullif(p_origin -> 'breaking', 'null'), '[]')
     where job_id = v_job.id;
    update public.jobs
       set api_id = v_edit.api_id, version = (v_added ->> 'n')::int,
           heartbeat_at = clock_timestamp()
     where id = v_job.id;
    update public.model_costs
       set api_id = v_edit.api_id, version = (v_added ->> 'n')::int
     where job_id = v_job.id;
    perform private.add_job_events(v_job, p_events);
    return jsonb_build_object('api_id', v_edit.api_id, 'version', (v_added ->> 'n')::int);
end
$$;

-- Yes or no to an edit. With yes the version is deployed in the same step, unless another one
-- answers by now than the one it was made from. p_breaking: yes, although callers miss something.
create function public.decide_edit(
    p_job_id uuid, p_decision text, p_breaking boolean, p_actor uuid default null
) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_edit public.job_edits;
    v_n int;
begin
    select * into v_edit from public.job_edits where job_id = p_job_id;
    if not found then
        perform private.refuse(404, 'edit_not_found', 'There is no such edit.');
    end if;
    perform private.require_operation(v_edit.tenant_id, p_actor, 'deploy');
    perform private.hold_api(v_edit.api_id);  -- one change of an API at a time
    select * into v_edit from public.job_edits where job_id = p_job_id for update;
    if v_edit.decision = p_decision then
        return;
    elsif v_edit.decision <> 'open' then
        perform private.refuse(409, 'edit_decided', format('It was %s before.', v_edit.decision));
    elsif v_edit.version_id is null then
        perform private.refuse(409, 'edit_not_ready', 'There is no version to decide on yet.');
    end if;
    if p_decision = 'accepted' then
        if jsonb_array_length(v_edit.breaking) > 0 and not p_breaking then
            perform private.refuse(
                409, 'breaking_change', 'Callers would miss something; say so with "breaking".'
            );
        elsif private.live_version(v_edit.api_id) is distinct from v_edit.from_version_id then
            perform private.refuse(
                409, 'edit_outdated',
                'Another version answers by now than the one that was changed; ask again.'
            );
        end if;
        select n into v_n from public.api_versions where id = v_edit.version_id;
        perform public.deploy_version(v_edit.api_id, v_n, 100, p_actor);
    end if;
    update public.job_edits
       set decision = p_decision, decided_by = p_actor, decided_at = clock_timestamp()
     where job_id = p_job_id;
    perform private.audit(
        p_actor, 'edit.' || p_decision, 'api', v_edit.api_id::text,
        jsonb_build_object('job_id', p_job_id)
    );
end
$$;

revoke all on function
    private.live_version, public.create_edit, public.edit_start, public.store_edit,
    public.decide_edit
from public, anon, authenticated;
grant execute on function
    private.live_version, public.create_edit, public.edit_start, public.store_edit, public.decide_edit
to service_role;
