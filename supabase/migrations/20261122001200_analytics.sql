-- Sums over stored calls. An error is an answer with a status of 500 or more.

create function public.api_analytics(p_api_id uuid, p_since timestamptz) returns jsonb
language sql stable set search_path = '' as $$
    with calls as materialized (
        select *, status_code >= 500 as failed
          from public.api_usage
         where api_id = p_api_id and at >= p_since
    ), by_day as (
        select (at at time zone 'UTC')::date as day, count(*) as calls,
               count(*) filter (where failed) as errors
          from calls
         group by 1
    ), by_version as (
        select version, count(*) as calls, count(*) filter (where failed) as errors,
               percentile_disc(0.5) within group (order by response_time_us) / 1000.0 as p50_ms,
               percentile_disc(0.95) within group (order by response_time_us) / 1000.0 as p95_ms
          from calls
         group by 1
    ), by_key as (
        select calls.key_id, key.name, key.display, count(*) as calls,
               count(*) filter (where failed) as errors
          from calls
          left join public.consumer_api_keys as key on key.id = calls.key_id
         group by 1, 2, 3
    ), top_paths as (
        select method, path, count(*) as calls, count(*) filter (where failed) as errors
          from calls
         group by 1, 2
         order by 3 desc, 2, 1
         limit 20
    )
    select jsonb_build_object(
        'calls', count(*),
        'errors', count(*) filter (where failed),
        'client_errors', count(*) filter (where status_code between 400 and 499),
        'p50_ms', percentile_disc(0.5) within group (order by response_time_us) / 1000.0,
        'p95_ms', percentile_disc(0.95) within group (order by response_time_us) / 1000.0,
        'request_bytes', coalesce(sum(request_size_bytes), 0),
        'response_bytes', coalesce(sum(response_size_bytes), 0),
        'by_day', (select coalesce(jsonb_agg(to_jsonb(by_day) order by day), '[]') from by_day),
        'by_version', (
            select coalesce(jsonb_agg(to_jsonb(by_version) order by version), '[]') from by_version
        ),
        'by_key', (
            select coalesce(jsonb_agg(to_jsonb(by_key) order by calls desc, key_id), '[]') from by_key
        ),
        'top_paths', (
            select coalesce(jsonb_agg(to_jsonb(top_paths) order by calls desc, path, method), '[]')
              from top_paths
        )
    )
      from calls
$$;

-- Calls that a tenant's keys made within each window up to now.
create function public.tenant_usage(p_tenant_id uuid) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'tenant_id', tenant.id,
        'plan', tenant.plan,
        'plan_limits', plan.limits,
        'limits', tenant.limits,
        'usage', (
            select jsonb_build_object(
                'minute', count(*) filter (where at > now() - interval '1 minute'),
                'hour', count(*) filter (where at > now() - interval '1 hour'),
                'day', count(*)
            )
              from public.api_usage
             where caller_tenant_id = tenant.id and at > now() - interval '1 day'
        )
    )
      from public.tenants as tenant
      join public.plans as plan on plan.name = tenant.plan
     where tenant.id = p_tenant_id
$$;
