-- Files of people: icons of profiles and APIs, attachments of feedback. The bytes lie in a store
-- of blobs by the hash of what they are; here is who has them, and who still needs which.

-- One row per content. `held_until` keeps it while an upload of it is under way; a row that is
-- being collected is not used again before it is gone.
create table private.blobs (
    digest text primary key check (digest ~ '^[0-9a-f]{64}$'),
    uses int not null default 0 check (uses >= 0),
    held_until timestamptz not null,
    is_collected boolean not null default false,
    check (not is_collected or uses = 0)
);
create index blobs_unused_idx on private.blobs (held_until) where uses = 0;
revoke all on private.blobs from public, anon, authenticated, service_role;

create table public.uploads (
    id uuid primary key,
    tenant_id uuid not null references public.tenants on delete cascade,
    created_by uuid references public.user_profiles on delete set null,
    purpose text not null check (purpose in ('profile_icon', 'api_icon', 'attachment')),
    profile_id uuid references public.public_profiles on delete cascade,
    api_id uuid references public.apis on delete cascade,
    feedback_id uuid references public.feedback on delete cascade,
    digest text not null references private.blobs,
    media_type text not null,
    name text not null check (char_length(name) between 1 and 100),
    bytes int not null check (bytes > 0),
    width int,
    height int,
    created_at timestamptz not null default now(),
    check ((purpose = 'profile_icon') = (profile_id is not null)),
    check ((purpose = 'api_icon') = (api_id is not null)),
    check ((purpose = 'attachment') = (feedback_id is not null)),
    check ((width is null) = (height is null))
);
create index uploads_tenant_id_idx on public.uploads (tenant_id, created_at desc);
create index uploads_created_by_idx on public.uploads (created_by);
create unique index uploads_profile_id_idx on public.uploads (profile_id);
create unique index uploads_api_id_idx on public.uploads (api_id);
create index uploads_feedback_id_idx on public.uploads (feedback_id);
create index uploads_digest_idx on public.uploads (digest);

-- Others see the icon of a public profile, but not the row of the upload.
alter table public.public_profiles add column icon_id uuid references public.uploads on delete set null;
create index public_profiles_icon_id_idx on public.public_profiles (icon_id);

create function private.on_upload_counted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if tg_op = 'INSERT' then
        update private.blobs set uses = uses + 1 where digest = new.digest;
    else
        update private.blobs set uses = uses - 1 where digest = old.digest;
    end if;
    return null;
end
$$;
create trigger upload_counted after insert or delete on public.uploads
    for each row execute function private.on_upload_counted();

-- --- who may read -------------------------------------------------------------------------

alter table public.uploads enable row level security;
revoke all on public.uploads from public, anon, authenticated, service_role;
grant select on public.uploads to service_role;
grant select on public.uploads to authenticated;

create policy own_uploads on public.uploads
    for select to authenticated using (api_id is null and created_by = (select auth.uid()));
create policy members_read_icons_of_apis on public.uploads
    for select to authenticated using (
        api_id is not null and tenant_id in (
            select tenant_id from public.tenant_members where user_id = (select auth.uid())
        )
    );

-- --- changing -----------------------------------------------------------------------------

-- Refuses what is over the tenant's quota or too many for one piece of feedback. An icon does not
-- count beside the one whose place it takes.
create function private.require_upload_room(
    p_new public.uploads, p_tenant_bytes bigint, p_attachments int
) returns void
language plpgsql set search_path = '' as $$
declare
    v_held bigint;
begin
    select coalesce(sum(bytes), 0) into v_held
      from public.uploads
     where tenant_id = p_new.tenant_id
       and profile_id is distinct from coalesce(p_new.profile_id, tenant_id)
       and api_id is distinct from coalesce(p_new.api_id, tenant_id);
    if v_held + p_new.bytes > p_tenant_bytes then
        perform private.refuse(
            409, 'upload_quota_exceeded',
            format('The tenant has %s bytes of uploads; %s more are over its %s.',
                   v_held, p_new.bytes, p_tenant_bytes)
        );
    end if;
    if p_new.feedback_id is not null and (
        select count(*) >= p_attachments
          from public.uploads
         where feedback_id = p_new.feedback_id
    ) then
        perform private.refuse(
            409, 'too_many_attachments', format('Feedback has at most %s attachments.', p_attachments)
        );
    end if;
end
$$;

-- Before the bytes are stored: what has no room is not, and the others are not collected for so
-- long. False while the same bytes are being collected right now. p: as for `add_upload`.
create function public.hold_blob(
    p jsonb, p_tenant_bytes bigint, p_attachments int, p_seconds double precision
) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    v_new public.uploads := jsonb_populate_record(null::public.uploads, p);
begin
    perform private.require_upload_room(v_new, p_tenant_bytes, p_attachments);
    insert into private.blobs as blob (digest, held_until)
    values (v_new.digest, clock_timestamp() + make_interval(secs => p_seconds))
    on conflict (digest) do update
       set held_until = greatest(blob.held_until, excluded.held_until)
     where not blob.is_collected;
    return found;
end
$$;

-- p: id, tenant_id, created_by, purpose, profile_id, api_id, feedback_id, digest, media_type,
-- name, bytes, width, height. An icon takes the place of the one before it.
create function public.add_upload(p jsonb, p_tenant_bytes bigint, p_attachments int)
returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_new public.uploads := jsonb_populate_record(null::public.uploads, p);
begin
    -- one at a time for one tenant; what is read below is newer than the lock
    perform pg_advisory_xact_lock(hashtextextended('uploads ' || v_new.tenant_id, 0));
    perform from private.blobs
      where digest = v_new.digest and not is_collected and (uses > 0 or held_until > clock_timestamp())
        for update;
    if not found then
        perform private.refuse(503, 'upload_too_slow', 'The upload took too long; send it again.');
    end if;
    perform private.require_upload_room(v_new, p_tenant_bytes, p_attachments);
    delete from public.uploads
     where profile_id = v_new.profile_id or api_id = v_new.api_id;
    begin
        insert into public.uploads (
            id, tenant_id, created_by, purpose, profile_id, api_id, feedback_id, digest,
            media_type, name, bytes, width, height
        )
        values (
            v_new.id, v_new.tenant_id, v_new.created_by, v_new.purpose, v_new.profile_id,
            v_new.api_id, v_new.feedback_id, v_new.digest, v_new.media_type, v_new.name,
            v_new.bytes, v_new.width, v_new.height
        );
    exception
        when foreign_key_violation then
            perform private.refuse(404, 'not_found', 'What it belongs to is gone.');
    end;
    update public.public_profiles
       set icon_id = v_new.id, updated_at = clock_timestamp()
     where id = v_new.profile_id;
end
$$;

-- False when it is gone already. What somebody else removes than who sent it is written down.
create function public.remove_upload(p_id uuid, p_actor uuid default null) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    v_gone public.uploads;
begin
    delete from public.uploads where id = p_id returning * into v_gone;
    if v_gone.id is null then
        return false;
    end if;
    if v_gone.created_by is distinct from p_actor or p_actor is null then
        perform private.audit(
            p_actor, 'upload.delete', 'upload', p_id::text,
            jsonb_build_object(
                'purpose', v_gone.purpose, 'tenant_id', v_gone.tenant_id, 'digest', v_gone.digest
            )
        );
    end if;
    return true;
end
$$;

-- What nobody needs any more, so that its bytes can go; `forget_blobs` when they went. What a
-- collector that died left half done comes again.
create function public.take_unused_blobs(p_limit int) returns jsonb
language sql security definer set search_path = '' as $$
    with taken as (
        select digest
          from private.blobs
         where uses = 0 and (is_collected or held_until <= clock_timestamp())
         order by held_until
         limit p_limit
           for update skip locked
    ), marked as (
        update private.blobs as blob
           set is_collected = true
          from taken
         where blob.digest = taken.digest
        returning blob.digest
    )
    select coalesce(jsonb_agg(digest), '[]') from marked
$$;

create function public.forget_blobs(p_digests jsonb) returns void
language sql security definer set search_path = '' as $$
    delete from private.blobs
     where is_collected and digest in (select jsonb_array_elements_text(p_digests))
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
