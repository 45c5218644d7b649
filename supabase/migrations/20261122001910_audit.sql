-- The audit log tells from where, in which request and why; and it only ever grows.

alter table public.audit_log
    add column address text check (char_length(address) <= 100),
    add column request_id text check (char_length(request_id) <= 128),
    add column reason text check (char_length(reason) <= 500);
create index audit_log_action_idx on public.audit_log (action, id desc);
create index audit_log_request_id_idx on public.audit_log (request_id);

-- What the gateway said of the request this statement belongs to. Over REST it comes as a header,
-- which counts for the service alone: nobody else can write entries at all.
create function private.audit_context() returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return coalesce(
        nullif(current_setting('sandgate.audit', true), ''),
        nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-sandgate-audit'
    )::jsonb;
exception
    when invalid_text_representation then
        return null;
end
$$;

-- Only what the entry does not say itself, so that a restored entry stays what it was.
create function private.on_audited() returns trigger
language plpgsql set search_path = '' as $$
declare
    v_context jsonb := private.audit_context();
begin
    new.address := coalesce(new.address, left(v_context ->> 'address', 100));
    new.request_id := coalesce(new.request_id, left(v_context ->> 'request_id', 128));
    new.reason := coalesce(new.reason, left(v_context ->> 'reason', 500));
    return new;
end
$$;
create trigger audited before insert on public.audit_log
    for each row execute function private.on_audited();

create function private.on_audit_changed() returns trigger
language plpgsql set search_path = '' as $$
begin
    perform private.refuse(403, 'audit_is_append_only', 'Entries of the audit log never change.');
    return null;
end
$$;
create trigger audit_is_append_only
    before update or delete or truncate on public.audit_log
    for each statement execute function private.on_audit_changed();

-- What changes no row is recorded by itself: reads of somebody else's code and logs, exports.
create function public.record_audit(
    p_actor uuid, p_action text, p_target_type text, p_target_id text, p_detail jsonb default '{}'
) returns void
language sql set search_path = '' as $$
    select private.audit(p_actor, p_action, p_target_type, p_target_id, p_detail)
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
