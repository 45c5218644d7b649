-- Unsigned reports of leaked keys are counted by where they come from, over all gateways.

-- What a crash of the server forgets is five minutes of counting.
create unlogged table private.leak_reports (
    id bigint primary key generated always as identity,
    origin text not null check (char_length(origin) <= 100),
    reported_at timestamptz not null
);
create index leak_reports_origin_idx on private.leak_reports (origin, reported_at);
create index leak_reports_reported_at_idx on private.leak_reports (reported_at);

-- Counts one more unless `p_quantity` came within `p_seconds`; answers the seconds to wait, 0
-- when it was counted. Each call also takes a few away that are over, whosever they are.
create function public.count_leak_report(
    p_origin text, p_quantity int, p_seconds double precision
) returns double precision
language plpgsql security definer set search_path = '' as $$
declare
    v_now timestamptz;
    v_over timestamptz;
    v_first timestamptz;
begin
    -- one at a time from one origin; what is read below is newer than the lock
    perform pg_advisory_xact_lock(hashtextextended('leak report ' || p_origin, 0));
    v_now := clock_timestamp();
    v_over := v_now - make_interval(secs => p_seconds);
    delete from private.leak_reports where id in (
        select id from private.leak_reports
         where reported_at <= v_over
         order by reported_at
         limit 20
           for update skip locked
    );
    select reported_at into v_first
      from private.leak_reports
     where origin = p_origin and reported_at > v_over
     order by reported_at desc
    offset p_quantity - 1
     limit 1;
    if found then
        return extract(epoch from v_first - v_over);
    end if;
    insert into private.leak_reports (origin, reported_at) values (p_origin, v_now);
    return 0;
end
$$;

revoke all on private.leak_reports from public, anon, authenticated, service_role;
revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
