-- Storing calls costs less: the drain sends columns, and what does not differ between calls of
-- one key to one API is sent, read and worked out once.

-- Stores well-formed calls or raises; usage, counters and ledger in one transaction, once for
-- each call. `p_grant` says which of `p_grants`, from 1, each call belongs to. Answers how many
-- were new and how many known.
--
-- Sizes of arrays are unknown when this is planned; nested loops would be chosen for few rows.
create function private.store_columns(
    p_grants jsonb,
    p_grant int[],
    p_at double precision[],
    p_request_id text[],
    p_version int[],
    p_method text[],
    p_path text[],
    p_status_code int[],
    p_error_code text[],
    p_price_nano_usd bigint[],
    p_response_time_us bigint[],
    p_request_size_bytes bigint[],
    p_response_size_bytes bigint[],
    out inserted int,
    out duplicates int
)
language plpgsql set search_path = '' set enable_nestloop = off as $$
declare
    v_month date;
begin
    for v_month in
        select distinct date_trunc('month', to_timestamp(at) at time zone 'UTC')::date
          from unnest(p_at) as at
    loop
        if v_month is null
            or v_month not between (now() - interval '400 days') and (now() + interval '1 day')
        then
            raise exception using errcode = '22008', message = 'the time of a call is out of range';
        end if;
        perform public.ensure_usage_partition(v_month);
    end loop;

    with grants as materialized (
        select given.*, windows.counted, windows.counted_as
          from rows from (
            jsonb_to_recordset(p_grants) as (
                api_id uuid, tenant_id uuid, caller_tenant_id uuid, key_id uuid, limits jsonb
            )
          ) with ordinality as given (
            api_id, tenant_id, caller_tenant_id, key_id, limits, grant_id
          )
         cross join lateral (
            select coalesce(bit_or(private.counted_bit(pair ->> 0, pair ->> 1)), 0) as counted,
                   nullif(max(substr(pair ->> 0, 5)) filter (where pair ->> 0 like 'key:%'),
                       given.key_id::text)::uuid as counted_as
              from jsonb_array_elements(given.limits) as pair
         ) as windows
    ), incoming as materialized (
        select distinct on (moment, request_id) to_timestamp(at) as moment, call.*
          from unnest(
            p_grant, p_at, p_request_id, p_version, p_method, p_path, p_status_code, p_error_code,
            p_price_nano_usd, p_response_time_us, p_request_size_bytes, p_response_size_bytes
          ) as call (
            grant_id, at, request_id, version, method, path, status_code, error_code,
            price_nano_usd, response_time_us, request_size_bytes, response_size_bytes
          )
         order by moment, request_id
    ), stored as (
        insert into public.api_usage (
            at, request_id, api_id, tenant_id, caller_tenant_id, key_id, version, method, path,
            status_code, error_code, response_time_us, request_size_bytes, response_size_bytes,
            price_nano_usd, counted, counted_as
        )
        select moment, request_id, api_id, tenant_id, caller_tenant_id, key_id, version, method,
               left(path, 512), status_code, error_code, response_time_us, request_size_bytes,
               response_size_bytes, coalesce(price_nano_usd, 0), counted, counted_as
          from incoming
          left join grants using (grant_id)  -- a call of no grant is refused, never passed over
         order by moment, request_id
        on conflict (at, request_id) do nothing
        returning at, request_id
    ), fresh as materialized (
        select incoming.moment, incoming.request_id, incoming.grant_id, incoming.price_nano_usd
          from incoming
          join stored on stored.at = incoming.moment and stored.request_id = incoming.request_id
    ), seconds as materialized (  -- of the stored time, which is what counters are checked with
        select grant_id, floor(date_part('epoch', moment)) as second, count(*) as calls,
               max(moment) as newest
          from fresh
         group by 1, 2
    ), paid as (
        insert into public.ledger (at, request_id, account, kind, amount_nano_usd, api_id)
        select fresh.moment, fresh.request_id, side.account, 'call', side.amount, grants.api_id
          from fresh
          join grants using (grant_id)
         cross join lateral (
            values (grants.caller_tenant_id, -fresh.price_nano_usd),
                   (grants.tenant_id, fresh.price_nano_usd)
         ) as side (account, amount)
         where fresh.price_nano_usd > 0
         order by 1, 2, 3
        on conflict (at, request_id, account, kind) do nothing
        returning 1
    ), widths as materialized (
        select name, private.bucket_seconds(name) as seconds
          from unnest(array['minute', 'hour', 'day']) as name
    ), counted as (
        insert into public.rate_limit_usage as counter (subject, "window", bucket, count)
        select pair ->> 0, pair ->> 1, floor(second / widths.seconds), sum(calls)
          from seconds
          join grants using (grant_id)
         cross join lateral jsonb_array_elements(grants.limits) as pair
          left join widths on widths.name = pair ->> 1  -- no such window is no bucket: refused
         group by 1, 2, 3
         order by 1, 2, 3  -- the same order in every batch, so that two cannot block each other
        on conflict (subject, "window", bucket) do update set count = counter.count + excluded.count
        returning 1
    ), uses as materialized (
        select grants.key_id, max(newest) as moment
          from seconds
          join grants using (grant_id)
         group by 1
    ), used as (  -- found by their ids, since a hash join would read all keys there are
        select key.id, uses.moment
          from public.consumer_api_keys as key
          join uses on uses.key_id = key.id
         where key.id = any (array(select key_id from uses))
           and (key.last_used_at is null or key.last_used_at < uses.moment)
         order by key.id
           for no key update of key
    ), touched as (
        update public.consumer_api_keys as key
           set last_used_at = used.moment
          from used
         where key.id = used.id and key.id = any (array(select id from used))
        returning 1
    )
    select count(*) into inserted from fresh;
    duplicates := cardinality(p_at) - inserted;
end
$$;

-- The same for calls as objects; each brings its own grant.
create or replace function private.store_calls(p_calls jsonb, out inserted int, out duplicates int)
language sql set search_path = '' as $$
    select stored.inserted, stored.duplicates
      from (
        select coalesce(array_agg(number::int), '{}') as numbers,
               coalesce(array_agg(at), '{}') as ats,
               array_agg(request_id) as request_ids,
               array_agg(version) as versions,
               array_agg(method) as methods,
               array_agg(path) as paths,
               array_agg(status_code) as status_codes,
               array_agg(error_code) as error_codes,
               array_agg(price_nano_usd) as prices,
               array_agg(response_time_us) as response_times,
               array_agg(request_size_bytes) as request_sizes,
               array_agg(response_size_bytes) as response_sizes
          from rows from (
            jsonb_to_recordset(p_calls) as (
                at double precision, request_id text, version int, method text, path text,
                status_code int, error_code text, price_nano_usd bigint, response_time_us bigint,
                request_size_bytes bigint, response_size_bytes bigint
            )
          ) with ordinality as call (
            at, request_id, version, method, path, status_code, error_code, price_nano_usd,
            response_time_us, request_size_bytes, response_size_bytes, number
          )
      ) as columns
     cross join lateral private.store_columns(
        p_calls, numbers, ats, request_ids, versions, methods, paths, status_codes, error_codes,
        prices, response_times, request_sizes, response_sizes
     ) as stored
$$;

-- All of them or none: a call that cannot be stored refuses its batch, and `record_usage` finds
-- out which one it was.
create function public.record_columns(
    p_grants jsonb,
    p_grant int[],
    p_at double precision[],
    p_request_id text[],
    p_version int[],
    p_method text[],
    p_path text[],
    p_status_code int[],
    p_error_code text[],
    p_price_nano_usd bigint[],
    p_response_time_us bigint[],
    p_request_size_bytes bigint[],
    p_response_size_bytes bigint[]
) returns jsonb
language sql set search_path = '' as $$
    select jsonb_build_object('inserted', inserted, 'duplicates', duplicates)
      from private.store_columns(
        p_grants, p_grant, p_at, p_request_id, p_version, p_method, p_path, p_status_code,
        p_error_code, p_price_nano_usd, p_response_time_us, p_request_size_bytes,
        p_response_size_bytes
      )
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
