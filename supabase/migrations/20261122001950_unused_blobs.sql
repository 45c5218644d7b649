-- How many files nobody has any more, whose bytes are still there: they are held a while, because
-- an upload of the same bytes may be under way.
create function public.unused_blobs() returns bigint
language sql stable security definer set search_path = '' as $$
    select count(*) from private.blobs where uses = 0
$$;

revoke all on function public.unused_blobs() from public, anon, authenticated;
grant execute on function public.unused_blobs() to service_role;
