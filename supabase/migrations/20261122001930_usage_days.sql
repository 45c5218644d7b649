-- Sums of calls by day, kept for ever; the calls themselves go after a while. A call is in
-- `api_usage` or in the sums, never in both: moving it is one transaction.

create table public.usage_days (
    api_id uuid not null,
    day date not null,  -- in UTC
    key_id uuid not null,
    version int not null,
    tenant_id uuid not null,
    caller_tenant_id uuid not null,
    calls bigint not null check (calls > 0),
    errors bigint not null,
    client_errors bigint not null,
    request_bytes bigint not null,
    response_bytes bigint not null,
    price_nano_usd bigint not null,
    times jsonb not null,  -- calls by `private.time_bucket`
    primary key (api_id, day, key_id, version, tenant_id, caller_tenant_id)
);
create index usage_days_tenant_id_idx on public.usage_days (tenant_id, day desc);
create index usage_days_caller_tenant_id_idx on public.usage_days (caller_tenant_id, day desc);
create index usage_days_day_idx on public.usage_days (day);

alter table public.usage_days enable row level security;
revoke all on public.usage_days from public, anon, authenticated, service_role;
grant select on public.usage_days to service_role, authenticated;
create policy members_read_usage_days on public.usage_days
    for select to authenticated using (
        tenant_id = any (
            array(select tenant_id from public.tenant_members where user_id = (select auth.uid()))
        )
        or caller_tenant_id = any (
            array(select tenant_id from public.tenant_members where user_id = (select auth.uid()))
        )
    );

-- --- times --------------------------------------------------------------------------------

-- Each bucket reaches 5 % further than the one before, so a percentile is 2.5 % off at most.
create function private.time_bucket(p_us bigint) returns int
language sql immutable set search_path = '' as $$
    select floor(ln(p_us + 1) / ln(1.05))::int
$$;

create function private.add_times(p_some jsonb, p_more jsonb) returns jsonb
language sql immutable set search_path = '' as $$
    select coalesce(jsonb_object_agg(bucket, calls), '{}')
      from (
        select key as bucket, sum(value::bigint) as calls
          from (
            select * from jsonb_each_text(p_some)
            union all
            select * from jsonb_each_text(p_more)
          ) as counts
         group by key
      ) as sums
$$;

-- --- moving -------------------------------------------------------------------------------

-- Moves calls of the oldest month before `p_month`, `p_rows` at a time, and drops a month that
-- is empty. Null when nothing is to be done, or another does it.
create function public.retire_usage(p_month date, p_rows int default 50000) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '500ms' as $$
declare
    v_oldest_kept text := 'api_usage_' || to_char(p_month, 'YYYYMM');
    v_name text;
    v_first timestamptz;
    v_until timestamptz;
    v_moved int;
begin
    if not pg_catalog.pg_try_advisory_xact_lock(hashtext('sandgate retire usage')) then
        return null;
    end if;
    select child.relname into v_name
      from pg_catalog.pg_inherits
      join pg_catalog.pg_class as child on child.oid = inhrelid
     where inhparent = 'public.api_usage'::regclass and child.relname < v_oldest_kept
     order by child.relname
     limit 1;
    if v_name is null then
        return null;
    end if;
    execute format('select min(at) from private.%I', v_name) into v_first;
    if v_first is null then
        begin
            lock table public.api_usage in access exclusive mode;
            execute format('select min(at) from private.%I', v_name) into v_first;
            if v_first is null then
                execute format('drop table private.%I', v_name);
            end if;
        exception
            when lock_not_available then  -- somebody reads for long; there is time
                return null;
        end;
        return jsonb_build_object('month', right(v_name, 6), 'moved', 0);
    end if;
    execute format('select at from private.%I order by at offset $1 limit 1', v_name)
       into v_until using p_rows;
    if v_until <= v_first then  -- many at one moment: all of them
        v_until := v_first + interval '1 microsecond';
    end if;
    execute format(
        $move$
        with gone as (
            delete from private.%I where $1 is null or at < $1 returning *
        ), timed as (
            select api_id, (at at time zone 'UTC')::date as day, key_id, version, tenant_id,
                   caller_tenant_id, private.time_bucket(response_time_us) as bucket,
                   count(*) as calls,
                   count(*) filter (where status_code >= 500) as errors,
                   count(*) filter (where status_code between 400 and 499) as client_errors,
                   sum(request_size_bytes) as request_bytes,
                   sum(response_size_bytes) as response_bytes,
                   sum(price_nano_usd) as price_nano_usd
              from gone
             group by 1, 2, 3, 4, 5, 6, 7
        ), added as (
            insert into public.usage_days as known (
                api_id, day, key_id, version, tenant_id, caller_tenant_id, calls, errors,
                client_errors, request_bytes, response_bytes, price_nano_usd, times
            )
            select api_id, day, key_id, version, tenant_id, caller_tenant_id, sum(calls),
                   sum(errors), sum(client_errors), sum(request_bytes), sum(response_bytes),
                   sum(price_nano_usd), jsonb_object_agg(bucket, calls)
              from timed
             group by 1, 2, 3, 4, 5, 6
            on conflict (api_id, day, key_id, version, tenant_id, caller_tenant_id) do update
               set calls = known.calls + excluded.calls,
                   errors = known.errors + excluded.errors,
                   client_errors = known.client_errors + excluded.client_errors,
                   request_bytes = known.request_bytes + excluded.request_bytes,
                   response_bytes = known.response_bytes + excluded.response_bytes,
                   price_nano_usd = known.price_nano_usd + excluded.price_nano_usd,
                   times = private.add_times(known.times, excluded.times)
            returning 1
        )
        select count(*) from gone
        $move$,
        v_name
    ) into v_moved using v_until;
    return jsonb_build_object('month', right(v_name, 6), 'moved', v_moved);
end
$$;

-- Every call since then is still there by itself.
create function public.usage_kept_since() returns timestamptz
language sql stable set search_path = '' as $$
    select (date_trunc('month', max(day)::timestamp) + interval '1 month') at time zone 'UTC'
      from public.usage_days
$$;

-- --- reading ------------------------------------------------------------------------------

-- `api_analytics` with the days of which only sums are left; those count as whole days. People
-- call it as themselves, so it uses nothing of schema `private`.
create function public.api_usage_sums(p_api_id uuid, p_since timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    v_calls jsonb := public.api_analytics(p_api_id, p_since);
    v_from date := (p_since at time zone 'UTC')::date;
begin
    if not exists (
        select from public.usage_days where api_id = p_api_id and day >= v_from
    ) then
        return v_calls;
    end if;
    return (
        with days as materialized (
            select * from public.usage_days where api_id = p_api_id and day >= v_from
        ), times as materialized (
            select version,
                   exp((bucket::int + 0.5::double precision) * ln(1.05::double precision)) - 1 as us,
                   number::bigint as calls
              from days
             cross join lateral jsonb_each_text(times) as counts (bucket, number)
            union all
            select version, response_time_us, 1
              from public.api_usage
             where api_id = p_api_id and at >= p_since
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
            select day, sum(calls) as calls, sum(errors) as errors
              from (
                select day, calls, errors from days
                union all
                select *
                  from jsonb_to_recordset(v_calls -> 'by_day')
                    as kept (day date, calls bigint, errors bigint)
              ) as parts
             group by day
        ), by_version as (
            select version, sum(calls) as calls, sum(errors) as errors
              from (
                select version, calls, errors from days
                union all
                select *
                  from jsonb_to_recordset(v_calls -> 'by_version')
                    as kept (version int, calls bigint, errors bigint)
              ) as parts
             group by version
        ), by_key as (
            select parts.key_id, key.name, key.display, sum(calls) as calls, sum(errors) as errors
              from (
                select key_id, calls, errors from days
                union all
                select *
                  from jsonb_to_recordset(v_calls -> 'by_key')
                    as kept (key_id uuid, calls bigint, errors bigint)
              ) as parts
              left join public.consumer_api_keys as key on key.id = parts.key_id
             group by 1, 2, 3
        )
        select v_calls || jsonb_build_object(
            'calls', (v_calls ->> 'calls')::bigint + sum(days.calls),
            'errors', (v_calls ->> 'errors')::bigint + sum(days.errors),
            'client_errors', (v_calls ->> 'client_errors')::bigint + sum(days.client_errors),
            'request_bytes', (v_calls ->> 'request_bytes')::bigint + sum(days.request_bytes),
            'response_bytes', (v_calls ->> 'response_bytes')::bigint + sum(days.response_bytes),
            'p50_ms', (select round(p50_ms::numeric, 3) from percentiles),
            'p95_ms', (select round(p95_ms::numeric, 3) from percentiles),
            'by_day', (select jsonb_agg(to_jsonb(by_day) order by day) from by_day),
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
            'by_key', (select jsonb_agg(to_jsonb(by_key) order by calls desc, key_id) from by_key)
        )
          from days
    );
end
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
