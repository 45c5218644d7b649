-- What people tell of themselves. What others may see lies in a table of its own, so that no
-- mistake in a list of columns can show an address.

alter table public.user_profiles
    add column preferences jsonb not null default '{}'
        check (jsonb_typeof(preferences) = 'object' and octet_length(preferences::text) <= 4096);

create table public.public_profiles (
    id uuid primary key references public.user_profiles on delete cascade,
    display_name text not null default '' check (char_length(display_name) <= 80),
    bio text not null default '' check (char_length(bio) <= 2000),
    links jsonb not null default '[]'
        check (jsonb_typeof(links) = 'array' and octet_length(links::text) <= 16384),
    is_public boolean not null default false,
    updated_at timestamptz not null default now()
);
insert into public.public_profiles (id) select id from public.user_profiles;

create function private.on_profile_created() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into public.public_profiles (id) values (new.id);
    return null;
end
$$;
create trigger profile_created after insert on public.user_profiles
    for each row execute function private.on_profile_created();

-- --- who may read -------------------------------------------------------------------------

alter table public.public_profiles enable row level security;
revoke all on public.public_profiles from public, anon, authenticated, service_role;
grant select, insert, update, delete on public.public_profiles to service_role;
grant select on public.public_profiles to anon, authenticated;

create policy shown_to_all on public.public_profiles
    for select to anon, authenticated using (is_public);
create policy own_public_profile on public.public_profiles
    for select to authenticated using (id = (select auth.uid()));

-- --- changing -----------------------------------------------------------------------------

-- p: display_name, bio, links, is_public, preferences; what is absent stays. A preference that
-- is null goes back to what it is for everybody.
create function public.update_profile(p_user_id uuid, p jsonb) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update public.user_profiles
       set preferences = jsonb_strip_nulls(preferences || coalesce(p -> 'preferences', '{}'))
     where id = p_user_id;
    if not found then
        perform private.refuse(404, 'profile_not_found', 'There is no such person.');
    end if;
    update public.public_profiles
       set display_name = coalesce(p ->> 'display_name', display_name),
           bio = coalesce(p ->> 'bio', bio),
           links = coalesce(p -> 'links', links),
           is_public = coalesce((p ->> 'is_public')::boolean, is_public),
           updated_at = clock_timestamp()
     where id = p_user_id;
end
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
