-- The same sums out of less: only what is summed up is kept aside, and it is kept in memory.

create or replace function public.api_analytics(p_api_id uuid, p_since timestamptz) returns jsonb
language sql stable set search_path = '' set work_mem = '64MB' as $$
    with calls as materialized (
        select (at at time zone 'UTC')::date as day, version, key_id, method, path, status_code,
               status_code >= 500 as failed, response_time_us, request_size_bytes,
               response_size_bytes
          from public.api_usage
         where api_id = p_api_id and at >= p_since
    ), by_day as (
        select day, count(*) as calls, count(*) filter (where failed) as errors
          from calls
         group by 1
    ), by_version as (
        select version, count(*) as calls, count(*) filter (where failed) as errors,
               percentile_disc(array[0.5, 0.95]) within group (order by response_time_us) as times
          from calls
         group by 1
    ), by_key as (
        select key_id, count(*) as calls, count(*) filter (where failed) as errors
          from calls
         group by 1
    ), top_paths as (
        select method, path, count(*) as calls, count(*) filter (where failed) as errors
          from calls
         group by 1, 2
         order by 3 desc, 2, 1
         limit 20
    ), whole as (
        select count(*) as calls, count(*) filter (where failed) as errors,
               count(*) filter (where status_code between 400 and 499) as client_errors,
               percentile_disc(array[0.5, 0.95]) within group (order by response_time_us) as times,
               coalesce(sum(request_size_bytes), 0) as request_bytes,
               coalesce(sum(response_size_bytes), 0) as response_bytes
          from calls
    )
    select jsonb_build_object(
        'calls', calls,
        'errors', errors,
        'client_errors', client_errors,
        'p50_ms', times[1] / 1000.0,
        'p95_ms', times[2] / 1000.0,
        'request_bytes', request_bytes,
        'response_bytes', response_bytes,
        'by_day', (select coalesce(jsonb_agg(to_jsonb(by_day) order by day), '[]') from by_day),
        'by_version', (
            select coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'version', version, 'calls', calls, 'errors', errors,
                        'p50_ms', times[1] / 1000.0, 'p95_ms', times[2] / 1000.0
                    )
                    order by version
                ),
                '[]'
            )
              from by_version
        ),
        'by_key', (
            select coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'key_id', by_key.key_id, 'name', key.name, 'display', key.display,
                        'calls', calls, 'errors', errors
                    )
                    order by calls desc, by_key.key_id
                ),
                '[]'
            )
              from by_key
              left join public.consumer_api_keys as key on key.id = by_key.key_id
        ),
        'top_paths', (
            select coalesce(jsonb_agg(to_jsonb(top_paths) order by calls desc, path, method), '[]')
              from top_paths
        )
    )
      from whole
$$;
