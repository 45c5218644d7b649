-- Who changed what. Append-only, also for the gateway.

create table public.audit_log (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    actor_id uuid,
    actor text not null,
    action text not null,
    target_type text not null,
    target_id text not null,
    detail jsonb not null default '{}'
);
create index audit_log_at_idx on public.audit_log (at desc);
create index audit_log_actor_id_idx on public.audit_log (actor_id, at desc);
create index audit_log_target_idx on public.audit_log (target_type, target_id, at desc);

alter table public.audit_log enable row level security;
revoke all on public.audit_log from public, anon, authenticated, service_role;
grant select, insert on public.audit_log to service_role;
grant select on public.audit_log to authenticated;
create policy own_actions on public.audit_log
    for select to authenticated using (actor_id = (select auth.uid()));

-- No actor means the holder of the installation's admin key.
create function private.audit(
    p_actor uuid, p_action text, p_target_type text, p_target_id text, p_detail jsonb default '{}'
) returns void
language sql set search_path = '' as $$
    insert into public.audit_log (actor_id, actor, action, target_type, target_id, detail)
    values (
        p_actor,
        case
            when p_actor is null then 'admin key'
            else coalesce(
                (select email from public.user_profiles where id = p_actor), p_actor::text
            )
        end,
        p_action, p_target_type, p_target_id, jsonb_strip_nulls(p_detail)
    )
$$;
