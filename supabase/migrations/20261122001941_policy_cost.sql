-- Policies that an index can answer: whose rows these are is asked once for each statement, as an
-- array, and not compared row by row after a read of the whole table.

alter policy members_read_apis on public.apis using (
    tenant_id = any (
        array(select tenant_id from public.tenant_members where user_id = (select auth.uid()))
    )
);
alter policy members_read_keys on public.consumer_api_keys using (
    tenant_id = any (
        array(select tenant_id from public.tenant_members where user_id = (select auth.uid()))
    )
);
alter policy members_read_usage on public.api_usage using (
    tenant_id = any (
        array(select tenant_id from public.tenant_members where user_id = (select auth.uid()))
    )
    or caller_tenant_id = any (
        array(select tenant_id from public.tenant_members where user_id = (select auth.uid()))
    )
);
alter policy members_read_ledger on public.ledger using (
    account = any (
        array(select tenant_id from public.tenant_members where user_id = (select auth.uid()))
    )
);
alter policy members_read_balances on public.ledger_balances using (
    account = any (
        array(select tenant_id from public.tenant_members where user_id = (select auth.uid()))
    )
);
alter policy members_read_counters on public.rate_limit_usage using (
    subject = any (
        array(
            select 'tenant:' || tenant_id
              from public.tenant_members
             where user_id = (select auth.uid())
        )
    )
);

-- these name the membership themselves, so that a wider policy on `apis` never opens the code
alter policy members_read_versions on public.api_versions using (
    api_id = any (
        array(
            select api.id
              from public.apis as api
              join public.tenant_members as member on member.tenant_id = api.tenant_id
             where member.user_id = (select auth.uid())
        )
    )
);
alter policy members_read_deployments on public.deployments using (
    api_id = any (
        array(
            select api.id
              from public.apis as api
              join public.tenant_members as member on member.tenant_id = api.tenant_id
             where member.user_id = (select auth.uid())
        )
    )
);
alter policy members_read_kv on public.api_kv using (
    api_id = any (
        array(
            select api.id
              from public.apis as api
              join public.tenant_members as member on member.tenant_id = api.tenant_id
             where member.user_id = (select auth.uid())
        )
    )
);
alter policy members_read_secret_names on public.api_secrets using (
    api_id = any (
        array(
            select api.id
              from public.apis as api
              join public.tenant_members as member on member.tenant_id = api.tenant_id
             where member.user_id = (select auth.uid())
        )
    )
);
alter policy members_read_key_apis on public.consumer_api_key_apis using (
    key_id = any (
        array(
            select key.id
              from public.consumer_api_keys as key
              join public.tenant_members as member on member.tenant_id = key.tenant_id
             where member.user_id = (select auth.uid())
        )
    )
);
