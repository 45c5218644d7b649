-- Calls of the last sixty days, from number :first to number :last.
insert into public.api_usage (
    at, request_id, api_id, tenant_id, caller_tenant_id, key_id, version, method, path,
    status_code, response_time_us, request_size_bytes, response_size_bytes
)
select now() - random() * interval '60 days', 'r' || i, md5('api ' || api)::uuid,
       md5('tenant ' || (api - 1) % :people + 1)::uuid, md5('tenant ' || caller)::uuid,
       md5('key ' || caller)::uuid, 1 + i % 5, (array['GET', 'POST', 'PUT'])[1 + i % 3],
       '/items/' || i % 50, (array[200, 200, 200, 201, 404, 500])[1 + i % 6],
       (random() * 50000)::bigint, 100, 2000
  from generate_series(:first, :last) as i
 cross join lateral (
    -- every fifth call goes to one busy API
    select case when i % 5 = 0 then 9 else 1 + (random() * (2 * :people - 1))::int end as api,
           1 + (random() * (:people - 1) + i * 0)::int as caller  -- anew for each call
 ) as picked;
