-- Sums of a busy API's days that are over, while their calls are still kept by themselves: what
-- people look at reads a row a day instead of each call. Only ever a copy; a day without one is
-- summed from its calls.

create table public.usage_rollups (
    api_id uuid not null references public.apis on delete cascade,
    day date not null,  -- in UTC
    tenant_id uuid not null,  -- all calls of the day have this one
    calls bigint not null check (calls > 0),
    errors bigint not null,
    client_errors bigint not null,
    request_bytes bigint not null,
    response_bytes bigint not null,
    versions jsonb not null,  -- [{version, calls, errors, times}], times by `private.time_bucket`
    keys jsonb not null,  -- [{key_id, calls, errors}]
    paths jsonb not null,  -- [{method, path, calls, errors}], the thousand that are called most
    primary key (api_id, day)
);
create index usage_rollups_tenant_id_idx on public.usage_rollups (tenant_id);

alter table public.usage_rollups enable row level security;
revoke all on public.usage_rollups from public, anon, authenticated, service_role;
grant select on public.usage_rollups to service_role, authenticated;
-- who sees a row would see every call of that day; who called only reads the calls
create policy members_read_usage_rollups on public.usage_rollups
    for select to authenticated using (
        tenant_id = any (
            array(select tenant_id from public.tenant_members where user_id = (select auth.uid()))
        )
    );

-- Days of which every busy API has its row.
create table private.usage_rolled_days (day date primary key);

-- --- keeping them true ---------------------------------------------------------------------

-- One sums up or changes sums at a time. Whoever stores late calls waits for who sums up, and
-- then finds the row to take away.
create function private.lock_rollups() returns void
language sql set search_path = '' as $$
    select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('sandgate roll up usage'))
$$;

-- A call that comes late: its day is summed up anew.
create function private.forget_rollups_of_late_calls() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if exists (select from stored where at < now() - interval '10 minutes') then
        perform private.lock_rollups();
        delete from public.usage_rollups as rolled
         using (select distinct api_id, (at at time zone 'UTC')::date as day from stored) as late
         where rolled.api_id = late.api_id and rolled.day = late.day;
        delete from private.usage_rolled_days
         where day in (select (at at time zone 'UTC')::date from stored);
    end if;
    return null;
end
$$;
create trigger forget_rollups after insert on public.api_usage
    referencing new table as stored
    for each statement execute function private.forget_rollups_of_late_calls();

-- Calls that were moved to `usage_days` count there.
create function private.forget_rollups_of_moved_calls() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform private.lock_rollups();
    delete from public.usage_rollups as rolled
     using moved
     where rolled.api_id = moved.api_id and rolled.day = moved.day;
    return null;
end
$$;
create trigger forget_rollups_on_insert after insert on public.usage_days
    referencing new table as moved
    for each statement execute function private.forget_rollups_of_moved_calls();
create trigger forget_rollups_on_update after update on public.usage_days
    referencing new table as moved
    for each statement execute function private.forget_rollups_of_moved_calls();

-- --- summing up ----------------------------------------------------------------------------

-- Sums up the newest day since `p_from` that is over and was not summed up: of APIs with
-- `p_calls` and more, about `p_rows` calls at a time. Null when none is left, or another does it.
create function public.roll_up_usage(
    p_from date, p_calls int default 1000, p_rows int default 200000
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_first date;
    v_day date;
    v_begin timestamptz;
    v_end timestamptz;
    v_apis uuid[];
begin
    if not pg_catalog.pg_try_advisory_xact_lock(hashtext('sandgate roll up usage')) then
        return null;
    end if;
    select greatest(p_from, (min(at) at time zone 'UTC')::date) into v_first
      from public.api_usage
     where at >= p_from::timestamp at time zone 'UTC';
    select max(given.day)::date into v_day
      from generate_series(
        v_first::timestamp, (now() at time zone 'UTC') - interval '25 hours', interval '1 day'
      ) as given (day)
     where not exists (
        select from private.usage_rolled_days as rolled where rolled.day = given.day::date
     );
    if v_day is null then
        return null;
    end if;
    v_begin := v_day::timestamp at time zone 'UTC';
    v_end := (v_day + 1)::timestamp at time zone 'UTC';

    select array_agg(busy.api_id) into v_apis
      from (
        select call.api_id, sum(count(*)) over (order by call.api_id) - count(*) as before
          from public.api_usage as call
          join public.apis as api on api.id = call.api_id
         where call.at >= v_begin and call.at < v_end and not exists (
            select from public.usage_rollups as rolled
             where rolled.api_id = call.api_id and rolled.day = v_day
         )
         group by call.api_id
        having count(*) >= p_calls and bool_and(call.tenant_id = api.tenant_id)
      ) as busy
     where busy.before < p_rows;
    if v_apis is null then
        insert into private.usage_rolled_days values (v_day);
        return jsonb_build_object('day', v_day, 'apis', 0);
    end if;

    with calls as materialized (
        select api_id, tenant_id, version, key_id, method, path, status_code,
               status_code >= 500 as failed, response_time_us, request_size_bytes,
               response_size_bytes
          from public.api_usage
         where api_id = any (v_apis) and at >= v_begin and at < v_end
    ), whole as (
        select api_id, tenant_id, count(*) as calls, count(*) filter (where failed) as errors,
               count(*) filter (where status_code between 400 and 499) as client_errors,
               sum(request_size_bytes) as request_bytes,
               sum(response_size_bytes) as response_bytes
          from calls
         group by 1, 2
    ), times as (
        select api_id, version, jsonb_object_agg(bucket, calls) as times
          from (
            select api_id, version, private.time_bucket(response_time_us) as bucket,
                   count(*) as calls
              from calls
             group by 1, 2, 3
          ) as buckets
         group by 1, 2
    ), versions as (
        select api_id, jsonb_agg(to_jsonb(each) - 'api_id' order by version) as versions
          from (
            select api_id, version, count(*) as calls, count(*) filter (where failed) as errors,
                   times
              from calls
              join times using (api_id, version)
             group by 1, 2, times
          ) as each
         group by 1
    ), keys as (
        select api_id, jsonb_agg(to_jsonb(each) - 'api_id' order by key_id) as keys
          from (
            select api_id, key_id, count(*) as calls, count(*) filter (where failed) as errors
              from calls
             group by 1, 2
          ) as each
         group by 1
    ), paths as (
        select api_id, jsonb_agg(to_jsonb(each) - 'api_id' - 'place' order by place) as paths
          from (
            select api_id, method, path, count(*) as calls,
                   count(*) filter (where failed) as errors,
                   row_number() over (
                       partition by api_id order by count(*) desc, path, method
                   ) as place
              from calls
             group by 1, 2, 3
          ) as each
         where place <= 1000
         group by 1
    )
    insert into public.usage_rollups
    select api_id, v_day, tenant_id, calls, errors, client_errors, request_bytes, response_bytes,
           versions, keys, paths
      from whole
      join versions using (api_id)
      join keys using (api_id)
      join paths using (api_id);
    return jsonb_build_object('day', v_day, 'apis', cardinality(v_apis));
end
$$;

-- --- reading -------------------------------------------------------------------------------

-- `api_analytics` with days of which only sums are left, those count as whole days, and days that
-- are summed up beside their calls. People call it as themselves, so it uses nothing of schema
-- `private`. `percentile_error`: how far the percentiles may be off, relative to what they are.
create or replace function public.api_usage_sums(p_api_id uuid, p_since timestamptz) returns jsonb
language plpgsql stable set search_path = '' set work_mem = '64MB' as $$
declare
    v_from date := (p_since at time zone 'UTC')::date;
    v_rolled tstzmultirange;
    v_begins timestamptz[];  -- of the times that are summed from calls
    v_ends timestamptz[];
begin
    select range_agg(
        tstzrange(day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC')
    )
      into v_rolled
      from public.usage_rollups
     where api_id = p_api_id and day::timestamp at time zone 'UTC' >= p_since;
    if v_rolled is null and not exists (
        select from public.usage_days where api_id = p_api_id and day >= v_from
    ) then
        return public.api_analytics(p_api_id, p_since) || '{"percentile_error": 0}';
    end if;
    select array_agg(lower(part)), array_agg(coalesce(upper(part), 'infinity'))
      into v_begins, v_ends
      from unnest(
        tstzmultirange(tstzrange(p_since, null)) - coalesce(v_rolled, tstzmultirange())
      ) as part;
    return (
        with calls as materialized (
            select (at at time zone 'UTC')::date as day, version, key_id, method, path,
                   status_code, (status_code >= 500)::int as failed, response_time_us,
                   request_size_bytes, response_size_bytes
              from unnest(v_begins, v_ends) as part (first, until)
             cross join lateral (
                select *
                  from public.api_usage
                 where api_id = p_api_id
                   and at >= part.first and at < part.until
                offset 0  -- a part at a time, by the index
             ) as call
        ), rolled as materialized (
            select *
              from public.usage_rollups
             where api_id = p_api_id and day::timestamp at time zone 'UTC' >= p_since
        ), rolled_versions as materialized (
            select each.*
              from rolled
             cross join lateral jsonb_to_recordset(versions)
                as each (version int, calls bigint, errors bigint, times jsonb)
        ), gone as materialized (
            select * from public.usage_days where api_id = p_api_id and day >= v_from
        ), buckets as (
            select version, bucket::int as bucket, sum(number::bigint) as calls
              from (
                select version, times from rolled_versions
                union all
                select version, times from gone
              ) as counted
             cross join lateral jsonb_each_text(times) as counts (bucket, number)
             group by 1, 2
        ), times as materialized (
            select version, calls,
                   exp((bucket + 0.5::double precision) * ln(1.05::double precision)) - 1 as us
              from buckets
            union all
            select version, 1, response_time_us
              from calls
        ), ranks as (
            select us, sum(calls) over (order by us) as rank, sum(calls) over () as total
              from times
        ), percentiles as (
            select min(us) filter (where rank >= 0.5 * total) / 1000 as p50_ms,
                   min(us) filter (where rank >= 0.95 * total) / 1000 as p95_ms
              from ranks
        ), version_ranks as (
            select version, us, sum(calls) over (partition by version order by us) as rank,
                   sum(calls) over (partition by version) as total
              from times
        ), version_percentiles as (
            select version, min(us) filter (where rank >= 0.5 * total) / 1000 as p50_ms,
                   min(us) filter (where rank >= 0.95 * total) / 1000 as p95_ms
              from version_ranks
             group by version
        ), by_day as (
            select day, sum(calls)::bigint as calls, sum(errors)::bigint as errors,
                   sum(client_errors) as client_errors, sum(request_bytes) as request_bytes,
                   sum(response_bytes) as response_bytes
              from (
                select day, count(*) as calls, sum(failed) as errors,
                       count(*) filter (where status_code between 400 and 499) as client_errors,
                       sum(request_size_bytes) as request_bytes,
                       sum(response_size_bytes) as response_bytes
                  from calls
                 group by 1
                union all
                select day, calls, errors, client_errors, request_bytes, response_bytes
                  from rolled
                union all
                select day, calls, errors, client_errors, request_bytes, response_bytes
                  from gone
              ) as parts
             group by 1
        ), by_version as (
            select version, sum(calls)::bigint as calls, sum(errors)::bigint as errors
              from (
                select version, count(*) as calls, sum(failed) as errors from calls group by 1
                union all
                select version, calls, errors from rolled_versions
                union all
                select version, calls, errors from gone
              ) as parts
             group by 1
        ), by_key as (
            select key_id, sum(calls)::bigint as calls, sum(errors)::bigint as errors
              from (
                select key_id, count(*) as calls, sum(failed) as errors from calls group by 1
                union all
                select each.*
                  from rolled
                 cross join lateral jsonb_to_recordset(keys)
                    as each (key_id uuid, calls bigint, errors bigint)
                union all
                select key_id, calls, errors from gone
              ) as parts
             group by 1
        ), top_paths as (
            select method, path, sum(calls)::bigint as calls, sum(errors)::bigint as errors
              from (
                select method, path, count(*) as calls, sum(failed) as errors
                  from calls
                 group by 1, 2
                union all
                select each.*
                  from rolled
                 cross join lateral jsonb_to_recordset(paths)
                    as each (method text, path text, calls bigint, errors bigint)
              ) as parts
             group by 1, 2
             order by 3 desc, 2, 1
             limit 20
        )
        select jsonb_build_object(
            'calls', sum(calls),
            'errors', sum(errors),
            'client_errors', sum(client_errors),
            'request_bytes', sum(request_bytes),
            'response_bytes', sum(response_bytes),
            'percentile_error', 0.025,
            'p50_ms', (select round(p50_ms::numeric, 3) from percentiles),
            'p95_ms', (select round(p95_ms::numeric, 3) from percentiles),
            'by_day', jsonb_agg(
                jsonb_build_object('day', day, 'calls', calls, 'errors', errors) order by day
            ),
            'by_version', (
                select jsonb_agg(
                    to_jsonb(by_version) || jsonb_build_object(
                        'p50_ms', round(p50_ms::numeric, 3), 'p95_ms', round(p95_ms::numeric, 3)
                    )
                    order by version
                )
                  from by_version
                  join version_percentiles using (version)
            ),
            'by_key', (
                select jsonb_agg(
                    to_jsonb(by_key) || jsonb_build_object('name', name, 'display', display)
                    order by calls desc, key_id
                )
                  from by_key
                  left join public.consumer_api_keys as key on key.id = key_id
            ),
            'top_paths', (
                select coalesce(
                    jsonb_agg(to_jsonb(top_paths) order by calls desc, path, method), '[]'
                )
                  from top_paths
            )
        )
          from by_day
    );
end
$$;

revoke all on function
    private.lock_rollups(), private.forget_rollups_of_late_calls(),
    private.forget_rollups_of_moved_calls(), public.roll_up_usage(date, int, int)
    from public, anon, authenticated;
grant execute on function
    private.lock_rollups(), private.forget_rollups_of_late_calls(),
    private.forget_rollups_of_moved_calls(), public.roll_up_usage(date, int, int)
    to service_role;
