-- Kill switches: what an administrator has stopped, in one row that every gateway follows.

-- By name: generation, publishing, egress, egress:<api>, api:<api>; each with reason, since, by.
create table private.switches (
    is_one boolean primary key default true check (is_one),
    stopped jsonb not null default '{}' check (jsonb_typeof(stopped) = 'object')
);
insert into private.switches default values;
alter table private.switches enable row level security;

create function public.gateway_switches() returns jsonb
language sql stable security definer set search_path = '' as $$
    select stopped from private.switches
$$;

create function private.is_stopped(p_name text) returns boolean
language sql stable security definer set search_path = '' as $$
    select stopped ? p_name from private.switches
$$;

-- For whatever may be stopped: ends the statement while it is.
create function private.require_switch(p_name text) returns void
language plpgsql stable set search_path = '' as $$
begin
    if private.is_stopped(p_name) then
        perform private.refuse(
            503, 'stopped', 'An administrator has stopped ' || p_name || ' for now.'
        );
    end if;
end
$$;

create function private.on_publishing() returns trigger
language plpgsql set search_path = '' as $$
begin
    perform private.require_switch('publishing');
    return new;
end
$$;
create trigger publishing_inserted before insert on public.apis
    for each row when (new.is_published) execute function private.on_publishing();
create trigger publishing_updated before update of is_published on public.apis
    for each row when (new.is_published and not old.is_published)
    execute function private.on_publishing();

-- Only the switch itself lets a stopped API go on.
create function private.on_api_resumed() returns trigger
language plpgsql set search_path = '' as $$
begin
    if private.is_stopped('api:' || new.id) then
        perform private.refuse(409, 'api_suspended', 'A kill switch has stopped this API.');
    end if;
    return new;
end
$$;
create trigger api_resumed before update of status on public.apis
    for each row when (old.status = 'suspended' and new.status <> 'suspended')
    execute function private.on_api_resumed();

-- An API that is stopped is suspended; it goes on as what it was.
create function public.set_switch(
    p_name text, p_stopped boolean, p_reason text, p_actor uuid default null
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_stopped jsonb;
    v_api uuid := nullif(split_part(p_name, ':', 2), '')::uuid;
    v_status text;
    v_was text;
begin
    if v_api is not null then  -- held first, as by whoever removes it
        select status into v_status from public.apis where id = v_api for update;
        if not found and p_stopped then
            perform private.refuse(404, 'api_not_found', 'There is no such API.');
        end if;
    end if;
    select stopped into v_stopped from private.switches for update;
    if not p_stopped and not v_stopped ? p_name then
        return v_stopped;
    end if;
    v_was := coalesce(v_stopped -> p_name ->> 'was', v_status);
    if p_stopped then
        v_stopped := v_stopped || jsonb_build_object(
            p_name, jsonb_strip_nulls(jsonb_build_object(
                'reason', p_reason,
                'since', coalesce(v_stopped -> p_name -> 'since', to_jsonb(now())),
                'by', coalesce(
                    (select email from public.user_profiles where id = p_actor), 'admin key'
                ),
                'was', v_was
            ))
        );
    else
        v_stopped := v_stopped - p_name;
    end if;
    update private.switches set stopped = v_stopped;
    if p_name like 'api:%' then
        update public.apis set status = case when p_stopped then 'suspended' else v_was end
         where id = v_api;
    end if;
    perform private.announce('switches', p_name);
    perform private.audit(
        p_actor, case when p_stopped then 'switch.stop' else 'switch.start' end,
        'switch', p_name, jsonb_build_object('reason', p_reason)
    );
    return v_stopped;
end
$$;

-- What is gone is not stopped any more.
create function private.on_api_gone() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update private.switches
       set stopped = stopped - ('api:' || old.id) - ('egress:' || old.id)
     where stopped ?| array['api:' || old.id, 'egress:' || old.id];
    if found then
        perform private.announce('switches', old.id::text);
    end if;
    return null;
end
$$;
create trigger api_gone after delete on public.apis
    for each row execute function private.on_api_gone();

-- --- what sandboxes are given while egress is stopped ----------------------------------------

create function private.egress_in_force(p_api_id uuid, p_egress jsonb) returns jsonb
language sql stable security definer set search_path = '' as $$
    select case
        when stopped ?| array['egress', 'egress:' || p_api_id] then '{"hosts": []}' else p_egress
    end
      from private.switches
$$;

create or replace function public.gateway_bundle(p_version_id uuid) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'api_id', version.api_id,
        'code', version.code,
        'lock', version.lock,
        'egress', private.egress_in_force(api.id, api.egress),
        'secrets', private.secrets_json(api.id)
    )
      from public.api_versions as version
      join public.apis as api on api.id = version.api_id
     where version.id = p_version_id
$$;

create or replace function public.gateway_surroundings(p_api_id uuid) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'egress', private.egress_in_force(id, egress), 'secrets', private.secrets_json(id)
    )
      from public.apis
     where id = p_api_id
$$;

revoke all on private.switches from public, anon, authenticated, service_role;
revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
