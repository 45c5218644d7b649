-- Administrators who look through somebody's eyes: read-only, for minutes, each with a reason.

-- No foreign keys: that it ended is recorded also when the person is gone.
create table private.impersonations (
    id uuid primary key default gen_random_uuid(),
    token_hash text not null unique check (char_length(token_hash) = 64),
    admin_id uuid not null,
    admin_session_id uuid not null,
    user_id uuid not null,
    started_at timestamptz not null default now(),
    expires_at timestamptz not null,
    ended_at timestamptz
);
create index impersonations_open_idx on private.impersonations (expires_at) where ended_at is null;
alter table private.impersonations enable row level security;

-- Answers whether it went on until now. The entry is in the administrator's name, whoever ends it.
create function public.end_impersonation(p_id uuid, p_how text, p_at timestamptz default null)
returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    v_ended private.impersonations;
begin
    update private.impersonations set ended_at = coalesce(p_at, now())
     where id = p_id and ended_at is null
    returning * into v_ended;
    if not found then
        return false;
    end if;
    perform private.audit(
        v_ended.admin_id, 'impersonation.end', 'user', v_ended.user_id::text,
        jsonb_build_object(
            'impersonation_id', p_id, 'how', p_how, 'ended_at', v_ended.ended_at
        )
    );
    return true;
end
$$;

-- What is over and was not ended by anybody; answers how many there were.
create function public.sweep_impersonations() returns int
language plpgsql security definer set search_path = '' as $$
declare
    v_over record;
    v_count int := 0;
begin
    for v_over in
        select open.id, open.expires_at,
               case when open.expires_at <= now() then 'its time was over'
                    else 'the administrator or the user is none any more'
               end as how
          from private.impersonations as open
         where open.ended_at is null
           and (
                open.expires_at <= now()
                or not exists (select from public.user_profiles where id = open.user_id)
                or not exists (
                    select from public.user_profiles where id = open.admin_id and is_admin
                )
           )
         order by open.expires_at
         limit 1000
    loop
        if public.end_impersonation(v_over.id, v_over.how, least(v_over.expires_at, now())) then
            v_count := v_count + 1;
        end if;
    end loop;
    delete from private.impersonations where ended_at < now() - interval '1 day';
    return v_count;
end
$$;

create function public.start_impersonation(
    p_token_hash text, p_user_id uuid, p_session_id uuid, p_seconds int, p_actor uuid
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_email text;
    v_made private.impersonations;
begin
    if not exists (select from public.user_profiles where id = p_actor and is_admin) then
        perform private.refuse(403, 'forbidden', 'Only admins may do this.');
    end if;
    select email into v_email from public.user_profiles where id = p_user_id;
    if not found then
        perform private.refuse(404, 'user_not_found', 'There is no such user.');
    end if;
    perform public.sweep_impersonations();
    insert into private.impersonations
        (token_hash, admin_id, admin_session_id, user_id, expires_at)
    values (
        p_token_hash, p_actor, p_session_id, p_user_id, now() + make_interval(secs => p_seconds)
    )
    returning * into v_made;
    perform private.audit(
        p_actor, 'impersonation.start', 'user', p_user_id::text,
        jsonb_build_object('impersonation_id', v_made.id, 'expires_at', v_made.expires_at)
    );
    return jsonb_build_object(
        'id', v_made.id, 'user_id', p_user_id, 'email', v_email, 'expires_at', v_made.expires_at
    );
end
$$;

-- The open one with this token; nothing when it is over, whyever.
create function public.gateway_impersonation(p_token_hash text) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'id', open.id,
        'user_id', open.user_id,
        'email', person.email,
        'admin_id', open.admin_id,
        'admin_session_id', open.admin_session_id,
        'expires_at', floor(extract(epoch from open.expires_at))
    )
      from private.impersonations as open
      join public.user_profiles as person on person.id = open.user_id
      join public.user_profiles as admin on admin.id = open.admin_id and admin.is_admin
     where open.token_hash = p_token_hash and open.ended_at is null and open.expires_at > now()
$$;

revoke all on private.impersonations from public, anon, authenticated, service_role;
revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
