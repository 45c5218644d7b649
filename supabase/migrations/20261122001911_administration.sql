-- What administrators see of people and tenants, and the reason of a suspension.

alter table public.tenants
    add column suspended_reason text check (char_length(suspended_reason) between 1 and 500),
    add column suspended_at timestamptz;
create index tenants_created_at_idx on public.tenants (created_at desc, id desc);
create index user_profiles_created_at_idx on public.user_profiles (created_at desc, id desc);
create index user_profiles_email_idx on public.user_profiles (lower(email) text_pattern_ops);
create index tenants_name_idx on public.tenants (lower(name) text_pattern_ops);

-- However the status changes, the reason of a suspension ends with it.
create function private.on_tenant_status() returns trigger
language plpgsql set search_path = '' as $$
begin
    if new.status = 'active' then
        new.suspended_reason := null;
        new.suspended_at := null;
    elsif old.status = 'active' then
        new.suspended_at := now();
    end if;
    return new;
end
$$;
create trigger tenant_status before update on public.tenants
    for each row execute function private.on_tenant_status();

create function public.set_tenant_status(
    p_tenant_id uuid, p_status text, p_reason text, p_actor uuid default null
) returns void
language plpgsql set search_path = '' as $$
begin
    update public.tenants
       set status = p_status,
           suspended_reason = case when p_status = 'suspended' then p_reason end
     where id = p_tenant_id;
    if not found then
        perform private.refuse(404, 'tenant_not_found', 'There is no such tenant.');
    end if;
    perform private.audit(
        p_actor,
        case p_status when 'suspended' then 'tenant.suspend' else 'tenant.restore' end,
        'tenant', p_tenant_id::text, jsonb_build_object('reason', p_reason)
    );
end
$$;

-- A team for somebody who is there already.
create function public.create_team_of(p jsonb, p_actor uuid default null) returns uuid
language plpgsql set search_path = '' as $$
declare
    v_id uuid;
    v_owner uuid;
begin
    perform private.require_limits(nullif(p -> 'limits', 'null'));
    if not exists (select from public.plans where name = p ->> 'plan') then
        perform private.refuse(422, 'unknown_plan', 'There is no such plan.');
    end if;
    select id into v_owner from public.user_profiles
     where id = (p ->> 'owner_id')::uuid or lower(email) = lower(p ->> 'owner_email')
     order by created_at limit 1
       for key share;
    if not found then
        perform private.refuse(404, 'user_not_found', 'There is no such user.');
    end if;
    insert into public.tenants (name, owner_id, kind, plan, limits)
    values (
        p ->> 'name', v_owner, 'team', p ->> 'plan', coalesce(nullif(p -> 'limits', 'null'), '{}')
    )
    returning id into v_id;
    insert into public.tenant_members (tenant_id, user_id, role) values (v_id, v_owner, 'owner');
    perform private.audit(
        p_actor, 'tenant.create', 'tenant', v_id::text,
        jsonb_build_object('name', p -> 'name', 'owner_id', v_owner, 'plan', p -> 'plan')
    );
    return v_id;
end
$$;

-- --- search, newest first, page by page ----------------------------------------------------

-- Text to search for as a pattern: nothing in it is a wildcard.
create function private.like_pattern(p_q text, p_is_prefix boolean) returns text
language sql immutable set search_path = '' as $$
    select case when p_is_prefix then '' else '%' end
        || replace(replace(replace(lower(p_q), '\', '\\'), '%', '\%'), '_', '\_') || '%'
$$;

create function private.uuid_of(p_text text) returns uuid
language sql immutable set search_path = '' as $$
    select case
        when p_text ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then p_text::uuid
    end
$$;

-- Planned for each question, so that what is not asked costs nothing and a beginning is found by
-- its index.
create function public.admin_users(
    p_q text, p_is_prefix boolean, p_limit int,
    p_after_at timestamptz default null, p_after_id uuid default null
) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    v_id uuid := private.uuid_of(p_q);
    v_pattern text := private.like_pattern(p_q, p_is_prefix);
begin
    return (
        select coalesce(jsonb_agg(to_jsonb(page) order by page.created_at desc, page.id desc), '[]')
          from (
            select profile.id, profile.email, profile.is_admin, profile.created_at
              from public.user_profiles as profile
             where (v_id is null or profile.id = v_id)
               and (p_q = '' or v_id is not null or lower(profile.email) like v_pattern)
               and (p_after_id is null
                    or (profile.created_at, profile.id) < (p_after_at, p_after_id))
             order by profile.created_at desc, profile.id desc
             limit p_limit
          ) as page
    );
end
$$;

create function public.admin_tenants(
    p_q text, p_is_prefix boolean, p_limit int,
    p_after_at timestamptz default null, p_after_id uuid default null
) returns jsonb
language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    v_id uuid := private.uuid_of(p_q);
    v_pattern text := private.like_pattern(p_q, p_is_prefix);
    v_ids uuid[];  -- of a beginning, found by the two indexes apart
begin
    if p_is_prefix and p_q <> '' and v_id is null then
        v_ids := array(
            select id from public.tenants where lower(name) like v_pattern
            union
            select owned.id
              from public.user_profiles as profile
              join public.tenants as owned on owned.owner_id = profile.id
             where lower(profile.email) like v_pattern
        );
    end if;
    return (
        select coalesce(jsonb_agg(to_jsonb(page) order by page.created_at desc, page.id desc), '[]')
          from (
            select tenant.*, owner.email as owner_email
              from public.tenants as tenant
              join public.user_profiles as owner on owner.id = tenant.owner_id
             where (v_id is null or tenant.id = v_id)
               and (v_ids is null or tenant.id = any (v_ids))
               and (p_q = '' or v_id is not null or v_ids is not null
                    or lower(tenant.name) like v_pattern or lower(owner.email) like v_pattern)
               and (p_after_id is null
                    or (tenant.created_at, tenant.id) < (p_after_at, p_after_id))
             order by tenant.created_at desc, tenant.id desc
             limit p_limit
          ) as page
    );
end
$$;

-- --- one of each ---------------------------------------------------------------------------

-- Calls of the APIs of these tenants since then.
create function private.usage_of(p_tenants uuid[], p_since timestamptz) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'calls', count(*),
        'errors', count(*) filter (where status_code >= 500),
        'last_call_at', max(at)
    )
      from public.api_usage
     where tenant_id = any (p_tenants) and at >= p_since
$$;

-- The newest of their APIs.
create function private.apis_of(p_tenants uuid[]) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(api) order by api.created_at desc, api.id), '[]')
      from (
        select id, tenant_id, slug, name, status, created_at
          from public.apis
         where tenant_id = any (p_tenants)
         order by created_at desc, id
         limit 100
      ) as api
$$;

create function public.admin_tenant(p_tenant_id uuid, p_since timestamptz) returns jsonb
language sql stable set search_path = '' as $$
    select to_jsonb(tenant) || jsonb_build_object(
        'owner_email', (
            select email from public.user_profiles where id = tenant.owner_id
        ),
        'members', coalesce(
            (
                select jsonb_agg(
                    jsonb_build_object(
                        'user_id', member.user_id, 'email', profile.email, 'role', member.role
                    )
                    order by member.created_at, member.user_id
                )
                  from (
                    select * from public.tenant_members
                     where tenant_id = tenant.id order by created_at, user_id limit 200
                  ) as member
                  join public.user_profiles as profile on profile.id = member.user_id
            ),
            '[]'
        ),
        'api_count', (select count(*) from public.apis where tenant_id = tenant.id),
        'key_count', (
            select count(*) from public.consumer_api_keys
             where tenant_id = tenant.id and revoked_at is null
        ),
        'apis', private.apis_of(array[tenant.id]),
        'usage', private.usage_of(array[tenant.id], p_since)
    )
      from public.tenants as tenant
     where tenant.id = p_tenant_id
$$;

-- Usage and APIs are those of the tenants that the person owns.
create function public.admin_user(p_user_id uuid, p_since timestamptz) returns jsonb
language sql stable set search_path = '' as $$
    select to_jsonb(profile) || jsonb_build_object(
        'tenants', coalesce(
            (
                select jsonb_agg(
                    jsonb_build_object(
                        'id', tenant.id, 'name', tenant.name, 'kind', tenant.kind,
                        'plan', tenant.plan, 'status', tenant.status, 'role', member.role
                    )
                    order by tenant.created_at, tenant.id
                )
                  from public.tenant_members as member
                  join public.tenants as tenant on tenant.id = member.tenant_id
                 where member.user_id = profile.id
            ),
            '[]'
        ),
        'api_count', (select count(*) from public.apis where tenant_id = any (owned.ids)),
        'apis', private.apis_of(owned.ids),
        'usage', private.usage_of(owned.ids, p_since)
    )
      from public.user_profiles as profile
     cross join lateral (
        select coalesce(array_agg(id), '{}') as ids
          from public.tenants where owner_id = profile.id
      ) as owned
     where profile.id = p_user_id
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
