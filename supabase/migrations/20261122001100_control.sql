-- Changing and removing APIs, keys and tenants. Every change is audited.

create function private.is_admin(p_actor uuid) returns boolean
language sql stable set search_path = '' as $$
    select p_actor is null
        or exists (select from public.user_profiles where id = p_actor and is_admin)
$$;

create function private.require_limits(p_limits jsonb) returns void
language plpgsql set search_path = '' as $$
begin
    if p_limits is not null and not private.valid_limits(p_limits) then
        perform private.refuse(
            422, 'invalid_limits',
            'Limits are positive whole numbers for minute, hour or day; null means unlimited.'
        );
    end if;
end
$$;

create function public.update_api(p_api_id uuid, p jsonb, p_actor uuid default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_api public.apis := private.hold_api(p_api_id);
    v_status text := p ->> 'status';
begin
    perform private.require_limits(p -> 'limits');
    if v_status is not null and v_status <> v_api.status then
        if 'suspended' in (v_status, v_api.status) and not private.is_admin(p_actor) then
            perform private.refuse(403, 'api_suspended', 'Only an administrator decides this.');
        end if;
        if v_status = 'active' and not exists (
            select from public.deployments where api_id = v_api.id and status = 'active'
        ) then
            perform private.refuse(409, 'not_deployed', 'No version of this API is deployed.');
        end if;
    end if;
    begin
        update public.apis
           set name = coalesce(p ->> 'name', name),
               description = coalesce(p ->> 'description', description),
               status = coalesce(v_status, status),
               limits = coalesce(p -> 'limits', limits),
               resources = coalesce(p -> 'resources', resources)
         where id = v_api.id;
    exception
        when unique_violation then
            perform private.refuse(409, 'name_taken', 'Another API of this tenant has this name.');
    end;
    perform private.audit(p_actor, 'api.update', 'api', v_api.id::text, p);
    return private.api_json(v_api.id);
end
$$;

-- A reload is a new generation. With an expectation it happens once, whoever asks first.
create function public.bump_generation(
    p_api_id uuid, p_expected int default null, p_actor uuid default null
) returns int
language plpgsql set search_path = '' as $$
declare
    v_api public.apis := private.hold_api(p_api_id);
begin
    if p_expected is distinct from v_api.generation and p_expected is not null then
        return v_api.generation;
    end if;
    update public.apis set generation = generation + 1 where id = v_api.id;
    perform private.audit(
        p_actor, 'api.reload', 'api', v_api.id::text,
        jsonb_build_object('generation', v_api.generation + 1)
    );
    return v_api.generation + 1;
end
$$;

-- Keys that opened nothing else are revoked with the API.
create function public.delete_api(p_api_id uuid, p_actor uuid default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_api public.apis := private.hold_api(p_api_id);
    v_json jsonb := private.api_json(v_api.id);
begin
    update public.consumer_api_keys as key
       set revoked_at = now()
     where key.revoked_at is null
       and exists (
            select from public.consumer_api_key_apis where key_id = key.id and api_id = v_api.id
       )
       and not exists (
            select from public.consumer_api_key_apis where key_id = key.id and api_id <> v_api.id
       );
    delete from public.apis where id = v_api.id;
    perform private.audit(
        p_actor, 'api.delete', 'api', v_api.id::text,
        jsonb_build_object('name', v_api.name, 'tenant_id', v_api.tenant_id)
    );
    return v_json;
end
$$;

-- --- keys ---------------------------------------------------------------------------------

create function private.key_json(p_key_id uuid) returns jsonb
language sql stable set search_path = '' as $$
    select to_jsonb(key) - 'key_hash' || jsonb_build_object(
        'api_ids', coalesce(
            (
                select jsonb_agg(link.api_id order by link.api_id)
                  from public.consumer_api_key_apis as link
                 where link.key_id = key.id
            ),
            '[]'
        )
    )
      from public.consumer_api_keys as key
     where key.id = p_key_id
$$;

create function public.create_key(p jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_id uuid := p ->> 'id';
    v_tenant uuid := p ->> 'tenant_id';
    v_actor uuid := p ->> 'created_by';
    v_wanted int;
    v_linked int;
begin
    if not exists (select from public.tenants where id = v_tenant) then
        perform private.refuse(404, 'tenant_not_found', 'There is no such tenant.');
    elsif exists (
        select from public.consumer_api_keys
         where id = v_id and tenant_id = v_tenant and key_hash = p ->> 'key_hash'
    ) then
        return private.key_json(v_id);  -- the same request once more
    end if;
    perform private.require_limits(nullif(p -> 'limits', 'null'));
    insert into public.consumer_api_keys (
        id, tenant_id, created_by, name, key_hash, display, limits, expires_at
    )
    values (
        v_id, v_tenant, v_actor, p ->> 'name', p ->> 'key_hash', p ->> 'display',
        coalesce(nullif(p -> 'limits', 'null'), '{}'), (p ->> 'expires_at')::timestamptz
    );
    select count(distinct value) into v_wanted
      from jsonb_array_elements_text(coalesce(nullif(p -> 'api_ids', 'null'), '[]'));
    insert into public.consumer_api_key_apis (key_id, api_id)
    select v_id, api.id
      from public.apis as api
     where api.id in (select value::uuid from jsonb_array_elements_text(p -> 'api_ids'))
       and (api.tenant_id = v_tenant or api.is_published);
    get diagnostics v_linked = row_count;
    if v_wanted = 0 then
        perform private.refuse(422, 'key_without_api', 'A key opens at least one API.');
    elsif v_linked <> v_wanted then
        perform private.refuse(404, 'api_not_found', 'There is no such API.');
    end if;
    perform private.audit(
        v_actor, 'key.create', 'key', v_id::text,
        jsonb_build_object('name', p -> 'name', 'api_ids', p -> 'api_ids')
    );
    return private.key_json(v_id);
end
$$;

create function public.revoke_key(p_key_id uuid, p_actor uuid default null) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_revoked timestamptz;
begin
    select revoked_at into v_revoked
      from public.consumer_api_keys where id = p_key_id for update;
    if not found then
        perform private.refuse(404, 'key_not_found', 'There is no such key.');
    end if;
    if v_revoked is null then
        update public.consumer_api_keys set revoked_at = now() where id = p_key_id;
        perform private.audit(p_actor, 'key.revoke', 'key', p_key_id::text);
    end if;
    return private.key_json(p_key_id);
end
$$;

-- --- tenants and people -------------------------------------------------------------------

create function public.update_tenant(p_tenant_id uuid, p jsonb, p_actor uuid default null)
returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_tenant public.tenants;
begin
    perform private.require_limits(p -> 'limits');
    if p ->> 'plan' is not null
        and not exists (select from public.plans where name = p ->> 'plan')
    then
        perform private.refuse(422, 'plan_not_found', 'There is no such plan.');
    elsif p ->> 'status' not in ('active', 'suspended') then
        perform private.refuse(422, 'invalid_status', 'A tenant is active or suspended.');
    end if;
    update public.tenants
       set plan = coalesce(p ->> 'plan', plan),
           status = coalesce(p ->> 'status', status),
           limits = coalesce(p -> 'limits', limits)
     where id = p_tenant_id
    returning * into v_tenant;
    if not found then
        perform private.refuse(404, 'tenant_not_found', 'There is no such tenant.');
    end if;
    perform private.audit(p_actor, 'tenant.update', 'tenant', p_tenant_id::text, p);
    return to_jsonb(v_tenant);
end
$$;

create function public.set_admin(p_user_id uuid, p_is_admin boolean, p_actor uuid default null)
returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_profile public.user_profiles;
begin
    update public.user_profiles set is_admin = p_is_admin
     where id = p_user_id
    returning * into v_profile;
    if not found then
        perform private.refuse(404, 'user_not_found', 'There is no such user.');
    end if;
    perform private.audit(
        p_actor, 'user.set_admin', 'user', p_user_id::text,
        jsonb_build_object('is_admin', p_is_admin)
    );
    return to_jsonb(v_profile);
end
$$;
