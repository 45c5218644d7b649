-- Storing calls: each exactly once, with the counters that the limits are restored from.

-- Width in seconds of one counter; sixty of them make the window.
create function private.bucket_seconds(p_window text) returns double precision
language sql immutable set search_path = '' as $$
    select case p_window when 'minute' then 1 when 'hour' then 60 when 'day' then 1440 end
$$;

-- Stores well-formed calls or raises; answers how many were new and how many known.
create function private.store_calls(p_calls jsonb, out inserted int, out duplicates int)
language plpgsql set search_path = '' as $$
declare
    v_month date;
begin
    for v_month in
        select distinct date_trunc('month', to_timestamp(call.at) at time zone 'UTC')::date
          from jsonb_to_recordset(p_calls) as call (at double precision)
    loop
        if v_month is null
            or v_month not between (now() - interval '400 days') and (now() + interval '1 day')
        then
            raise exception using errcode = '22008', message = 'the time of a call is out of range';
        end if;
        perform public.ensure_usage_partition(v_month);
    end loop;

    with incoming as (
        select distinct on (call.at, call.request_id) call.*, to_timestamp(call.at) as moment
          from jsonb_to_recordset(p_calls) as call (
            at double precision, request_id text, api_id uuid, tenant_id uuid,
            caller_tenant_id uuid, key_id uuid, version int, method text, path text,
            status_code int, error_code text, response_time_us bigint,
            request_size_bytes bigint, response_size_bytes bigint, limits jsonb
          )
         order by call.at, call.request_id
    ), stored as (
        insert into public.api_usage (
            at, request_id, api_id, tenant_id, caller_tenant_id, key_id, version, method, path,
            status_code, error_code, response_time_us, request_size_bytes, response_size_bytes
        )
        select moment, request_id, api_id, tenant_id, caller_tenant_id, key_id, version, method,
               left(path, 512), status_code, error_code, response_time_us, request_size_bytes,
               response_size_bytes
          from incoming
         order by moment, request_id
        on conflict (at, request_id) do nothing
        returning at, request_id
    ), fresh as (
        select incoming.*
          from incoming
          join stored on stored.at = incoming.moment and stored.request_id = incoming.request_id
    ), counted as (
        insert into public.rate_limit_usage as counter (subject, "window", bucket, count)
        select pair ->> 0, pair ->> 1, floor(fresh.at / private.bucket_seconds(pair ->> 1)), count(*)
          from fresh
         cross join lateral jsonb_array_elements(fresh.limits) as pair
         group by 1, 2, 3
         order by 1, 2, 3  -- the same order in every batch, so that two cannot block each other
        on conflict (subject, "window", bucket) do update set count = counter.count + excluded.count
        returning 1
    ), used as (
        select key.id, use.moment
          from public.consumer_api_keys as key
          join (select key_id, max(moment) as moment from fresh group by key_id) as use
            on use.key_id = key.id
         where key.last_used_at is null or key.last_used_at < use.moment
         order by key.id
           for no key update of key
    ), touched as (
        update public.consumer_api_keys as key
           set last_used_at = used.moment
          from used
         where key.id = used.id
        returning 1
    )
    select count(*) into inserted from fresh;
    duplicates := jsonb_array_length(p_calls) - inserted;
end
$$;

-- Plain json, not jsonb, marks a log: the store replaces text in it that Postgres cannot hold.
create function public.record_usage(p_calls json) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_call json;
    v_part record;
    v_inserted int := 0;
    v_duplicates int := 0;
    v_rejected int := 0;
begin
    if json_typeof(p_calls) is distinct from 'array' then
        perform private.refuse(422, 'invalid_calls', 'Calls come as a list.');
    end if;
    begin
        select * into v_part from private.store_calls(p_calls::jsonb);
        return jsonb_build_object(
            'inserted', v_part.inserted, 'duplicates', v_part.duplicates, 'rejected', 0
        );
    exception
        when data_exception or integrity_constraint_violation then
            null;  -- some row is malformed: find out which, one by one
    end;
    for v_call in select value from json_array_elements(p_calls) loop
        begin
            select * into v_part from private.store_calls(jsonb_build_array(v_call::jsonb));
            v_inserted := v_inserted + v_part.inserted;
            v_duplicates := v_duplicates + v_part.duplicates;
        exception
            when data_exception or integrity_constraint_violation then
                v_rejected := v_rejected + 1;
        end;
    end loop;
    return jsonb_build_object(
        'inserted', v_inserted, 'duplicates', v_duplicates, 'rejected', v_rejected
    );
end
$$;

create function public.rate_limit_counts(p_now double precision) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(
        jsonb_agg(
            jsonb_build_object(
                'subject', subject, 'window', "window", 'bucket', bucket, 'count', count
            )
            order by subject, "window", bucket
        ),
        '[]'
    )
      from public.rate_limit_usage
     where bucket >= floor(p_now / private.bucket_seconds("window")) - 60
$$;

create function public.purge_rate_limits(p_now double precision) returns int
language sql set search_path = '' as $$
    with gone as (
        delete from public.rate_limit_usage
         where bucket < floor(p_now / private.bucket_seconds("window")) - 60
        returning 1
    )
    select count(*)::int from gone
$$;
