-- People whom the benchmark of policies asks for. Tenant i has the APIs i and i + :people.
select public.ensure_usage_partition((now() - make_interval(months => step))::date)
  from generate_series(0, 3) as step;
insert into public.user_profiles (id, email)
select md5('person ' || i)::uuid, 'person' || i || '@example.com' from generate_series(1, :people) as i;
insert into public.tenants (id, name, owner_id, kind)
select md5('tenant ' || i)::uuid, 'tenant ' || i, md5('person ' || i)::uuid, 'personal'
  from generate_series(1, :people) as i;
insert into public.tenant_members (tenant_id, user_id, role)
select md5('tenant ' || i)::uuid, md5('person ' || i)::uuid, 'owner' from generate_series(1, :people) as i;
insert into public.tenant_members (tenant_id, user_id, role)
select md5('tenant ' || i % :people + 1)::uuid, md5('person ' || i)::uuid, 'viewer'
  from generate_series(1, :people) as i;
insert into public.apis (id, tenant_id, slug, name, status)
select md5('api ' || i)::uuid, md5('tenant ' || (i - 1) % :people + 1)::uuid, 'api-' || i, 'api ' || i, 'active'
  from generate_series(1, 2 * :people) as i;
insert into public.api_versions (id, api_id, n, code, digest)
select md5('version ' || i || ' ' || n)::uuid, md5('api ' || i)::uuid, n, repeat('code', 200), 'digest'
  from generate_series(1, 2 * :people) as i, generate_series(1, 5) as n;
insert into public.deployments (api_id, version_id, status)
select api_id, id, case when n = 5 then 'active' else 'replaced' end from public.api_versions;
insert into public.consumer_api_keys (id, tenant_id, name, key_hash, display)
select md5('key ' || i)::uuid, md5('tenant ' || (i - 1) % :people + 1)::uuid, 'key', md5('hash ' || i), 'sg_live'
  from generate_series(1, 4 * :people) as i;
insert into public.consumer_api_key_apis (key_id, api_id)
select md5('key ' || i)::uuid, md5('api ' || (i - 1) % (2 * :people) + 1)::uuid
  from generate_series(1, 4 * :people) as i;
insert into public.api_secrets (api_id, name, value, bytes)
select md5('api ' || i)::uuid, 'SECRET_' || n, 'ciphertext', 10
  from generate_series(1, 2 * :people) as i, generate_series(1, 3) as n;
insert into public.api_kv (api_id, key, value, bytes)
select md5('api ' || i)::uuid, 'key ' || n, '1', 10
  from generate_series(1, 2 * :people) as i, generate_series(1, 20) as n;
insert into public.api_kv_totals (api_id, keys, bytes)
select md5('api ' || i)::uuid, 20, 200 from generate_series(1, 2 * :people) as i;
insert into public.rate_limit_usage (subject, "window", bucket, count)
select 'tenant:' || md5('tenant ' || i)::uuid, 'hour', n, 1
  from generate_series(1, :people) as i, generate_series(1, 60) as n;
insert into public.audit_log (actor_id, actor, action, target_type, target_id)
select md5('person ' || i)::uuid, 'person', 'api.update', 'api', n::text
  from generate_series(1, :people) as i, generate_series(1, 40) as n;
insert into public.ledger_balances (account, granted)
select md5('tenant ' || i)::uuid, 10 from generate_series(1, :people) as i;
insert into public.ledger (at, request_id, account, kind, amount_nano_usd, api_id)
select now() - random() * interval '60 days', 'r' || i, md5('tenant ' || i % :people + 1)::uuid, 'call', 5,
       md5('api ' || i % :people + 1)::uuid
  from generate_series(1, 100000) as i;
