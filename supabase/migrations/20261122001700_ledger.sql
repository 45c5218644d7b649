-- Money: an append-only ledger in whole nano-USD, written with the calls that cause it.

-- What a call cost, and where it counted: a bit for each window of tenant, API and key (1, 2, 4
-- for the tenant's minute, hour and day, then 8… for the API, 64… for the key). Null is a call
-- of before. `counted_as` names the key in whose windows it counted when it is another one.
alter table public.api_usage
    add column price_nano_usd bigint not null default 0 check (price_nano_usd >= 0),
    add column counted smallint,
    add column counted_as uuid;

-- Each row moves one account; the rows of one request id add up to zero. Credits come out of the
-- house's account, the zero uuid. No foreign keys: money outlives tenants.
create table public.ledger (
    id bigint generated always as identity,
    at timestamptz not null,
    request_id text not null check (char_length(request_id) between 1 and 200),
    account uuid not null,
    kind text not null check (kind in ('call', 'credit', 'adjustment')),
    amount_nano_usd bigint not null check (amount_nano_usd <> 0),
    api_id uuid check ((api_id is null) = (kind <> 'call')),
    note text not null default '' check (char_length(note) <= 500),
    primary key (at, request_id, account, kind)
);
create index ledger_account_idx on public.ledger (account, at desc, id desc);
-- a credit has no time of its own: its request id alone makes it one
create unique index ledger_credit_idx on public.ledger (account, request_id) where kind <> 'call';

-- Sums over the ledger, one row an account, kept by a trigger.
create table public.ledger_balances (
    account uuid primary key,
    granted bigint not null default 0,  -- credits and adjustments
    spent bigint not null default 0,    -- on calls
    earned bigint not null default 0    -- by calls of others
) with (fillfactor = 50);

create function private.on_ledger_changed() returns trigger
language plpgsql set search_path = '' as $$
begin
    raise exception using errcode = '42501', message = 'the ledger only grows';
end
$$;
create trigger ledger_only_grows before update or delete or truncate on public.ledger
    for each statement execute function private.on_ledger_changed();

create function private.on_ledger_grown() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into public.ledger_balances as balance (account, granted, spent, earned)
    select account,
           coalesce(sum(amount_nano_usd) filter (where kind <> 'call'), 0),
           coalesce(-sum(amount_nano_usd) filter (where kind = 'call' and amount_nano_usd < 0), 0),
           coalesce(sum(amount_nano_usd) filter (where kind = 'call' and amount_nano_usd > 0), 0)
      from entries
     group by account
     order by account  -- the same order in every batch, so that two cannot block each other
    on conflict (account) do update
       set granted = balance.granted + excluded.granted,
           spent = balance.spent + excluded.spent,
           earned = balance.earned + excluded.earned;
    return null;
end
$$;
create trigger ledger_adds_up after insert on public.ledger
    referencing new table as entries
    for each statement execute function private.on_ledger_grown();

alter table public.ledger enable row level security;
alter table public.ledger_balances enable row level security;
revoke all on public.ledger, public.ledger_balances from public, anon, authenticated, service_role;
grant select, insert on public.ledger to service_role;
grant select on public.ledger_balances to service_role;
grant select on public.ledger, public.ledger_balances to authenticated;
create policy members_read_ledger on public.ledger
    for select to authenticated using (
        account in (select tenant_id from public.tenant_members where user_id = (select auth.uid()))
    );
create policy members_read_balances on public.ledger_balances
    for select to authenticated using (
        account in (select tenant_id from public.tenant_members where user_id = (select auth.uid()))
    );

-- --- calls --------------------------------------------------------------------------------

create function private.counted_bit(p_subject text, p_window text) returns int
language sql immutable set search_path = '' as $$
    select case split_part(p_subject, ':', 1) when 'tenant' then 1 when 'api' then 8 else 64 end
         * case p_window when 'minute' then 1 when 'hour' then 2 else 4 end
$$;

-- Stores well-formed calls or raises; usage, counters and ledger in one transaction, once for
-- each call. Answers how many were new and how many known.
create or replace function private.store_calls(p_calls jsonb, out inserted int, out duplicates int)
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
        select distinct on (call.at, call.request_id) call.*, to_timestamp(call.at) as moment,
               windows.counted, windows.counted_as
          from jsonb_to_recordset(p_calls) as call (
            at double precision, request_id text, api_id uuid, tenant_id uuid,
            caller_tenant_id uuid, key_id uuid, version int, method text, path text,
            status_code int, error_code text, response_time_us bigint,
            request_size_bytes bigint, response_size_bytes bigint, limits jsonb,
            price_nano_usd bigint
          )
         cross join lateral (
            select coalesce(bit_or(private.counted_bit(pair ->> 0, pair ->> 1)), 0) as counted,
                   nullif(max(substr(pair ->> 0, 5)) filter (where pair ->> 0 like 'key:%'),
                       call.key_id::text)::uuid as counted_as
              from jsonb_array_elements(call.limits) as pair
         ) as windows
         order by call.at, call.request_id
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
         order by moment, request_id
        on conflict (at, request_id) do nothing
        returning at, request_id
    ), fresh as (
        select incoming.*
          from incoming
          join stored on stored.at = incoming.moment and stored.request_id = incoming.request_id
    ), paid as (
        insert into public.ledger (at, request_id, account, kind, amount_nano_usd, api_id)
        select fresh.moment, fresh.request_id, side.account, 'call', side.amount, fresh.api_id
          from fresh
         cross join lateral (
            values (fresh.caller_tenant_id, -fresh.price_nano_usd),
                   (fresh.tenant_id, fresh.price_nano_usd)
         ) as side (account, amount)
         where fresh.price_nano_usd > 0
         order by 1, 2, 3
        on conflict (at, request_id, account, kind) do nothing
        returning 1
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

-- Nobody pays himself: it would be one row where two are promised.
alter table public.api_usage
    add check (price_nano_usd = 0 or caller_tenant_id <> tenant_id);

-- --- credit -------------------------------------------------------------------------------

-- What may be spent is `granted` less `spent`; what was earned is paid out, not spent.
create function public.gateway_credit(p_tenant uuid) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'granted', coalesce(max(granted), 0),
        'spent', coalesce(max(spent), 0),
        'earned', coalesce(max(earned), 0)
    )
      from public.ledger_balances
     where account = p_tenant
$$;

-- Once for each tenant and key, however often it is asked for.
create function public.grant_credit(
    p_tenant uuid,
    p_amount bigint,
    p_key text,
    p_note text default '',
    p_actor uuid default null
) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_house constant uuid := '00000000-0000-0000-0000-000000000000';
    v_request text := 'credit:' || p_tenant || ':' || p_key;
    v_kind text := case when p_amount > 0 then 'credit' else 'adjustment' end;
    v_known bigint;
    v_new int;
begin
    if p_amount is null or p_amount = 0 or abs(p_amount) > 1000000000000000 then
        perform private.refuse(
            422, 'invalid_amount', 'An amount is a whole number of nano-USD, at most a million USD.'
        );
    elsif p_key is null or p_key !~ '^[!-~]{1,128}$' then
        perform private.refuse(
            422, 'invalid_idempotency_key', 'A key is 1 to 128 printable characters, no spaces.'
        );
    elsif not exists (select from public.tenants where id = p_tenant) then
        perform private.refuse(404, 'tenant_not_found', 'There is no such tenant.');
    end if;
    insert into public.ledger (at, request_id, account, kind, amount_nano_usd, note)
    values
        (now(), v_request, v_house, v_kind, -p_amount, coalesce(p_note, '')),
        (now(), v_request, p_tenant, v_kind, p_amount, coalesce(p_note, ''))
    on conflict do nothing;
    get diagnostics v_new = row_count;
    if v_new = 0 then
        select amount_nano_usd into v_known
          from public.ledger
         where account = p_tenant and request_id = v_request and kind <> 'call';
        if v_known <> p_amount then
            perform private.refuse(
                409, 'idempotency_key_reused', 'This key was used for another amount.'
            );
        end if;
    else
        perform private.audit(
            p_actor, 'credit.grant', 'tenant', p_tenant::text,
            jsonb_build_object('amount_nano_usd', p_amount, 'key', p_key, 'note', p_note)
        );
        perform private.announce('credit', p_tenant::text);
    end if;
    return public.gateway_credit(p_tenant);
end
$$;

-- --- reconciling --------------------------------------------------------------------------

-- Compares usage, ledger, balances and counters in one look, so that calls may go on meanwhile.
-- The calls are those since `p_since`; balances are of all time; counters of the last day.
create function public.reconcile(p_since timestamptz) returns jsonb
language sql stable set search_path = '' as $$
    with usage as materialized (
        select at, request_id, api_id, tenant_id, caller_tenant_id, price_nano_usd
          from public.api_usage
         where at >= p_since
    ), wanted as (
        select at, request_id, api_id, caller_tenant_id as account, -price_nano_usd as amount
          from usage where price_nano_usd > 0
        union all
        select at, request_id, api_id, tenant_id, price_nano_usd
          from usage where price_nano_usd > 0
    ), entries as materialized (
        select at, request_id, api_id, account, amount_nano_usd as amount
          from public.ledger
         where at >= p_since and kind = 'call'
    ), unlike as (
        select coalesce(wanted.at, entries.at) as at,
               coalesce(wanted.request_id, entries.request_id) as request_id,
               coalesce(wanted.account, entries.account) as account,
               coalesce(wanted.api_id, entries.api_id) as api_id,
               wanted.amount as expected, entries.amount as found
          from wanted
          full join entries using (at, request_id, account)
         where (wanted.amount, wanted.api_id) is distinct from (entries.amount, entries.api_id)
    ), lopsided as (
        select request_id, min(at) as at, sum(amount_nano_usd) as found
          from public.ledger
         where at >= p_since
         group by ledger.at, request_id, kind
        having sum(amount_nano_usd) <> 0
    ), sums as (
        select account,
               coalesce(sum(amount_nano_usd) filter (where kind <> 'call'), 0) as granted,
               coalesce(-sum(amount_nano_usd) filter (where kind = 'call' and amount_nano_usd < 0), 0)
                   as spent,
               coalesce(sum(amount_nano_usd) filter (where kind = 'call' and amount_nano_usd > 0), 0)
                   as earned
          from public.ledger
         group by account
    ), misadded as (
        select account, sums.granted - sums.spent + sums.earned as expected,
               balance.granted - balance.spent + balance.earned as found
          from sums
          full join public.ledger_balances as balance using (account)
         where (sums.granted, sums.spent, sums.earned)
            is distinct from (balance.granted, balance.spent, balance.earned)
    ), widths as (
        select name, private.bucket_seconds(name) as seconds,
               floor(extract(epoch from now()) / private.bucket_seconds(name)) - 59 as oldest
          from unnest(array['minute', 'hour', 'day']) as name
    ), unknown as (  -- calls stored before it was kept where they counted
        select max(at) as at
          from public.api_usage
         where counted is null and at > now() - interval '2 days'
    ), counts as (
        select subject, name, bucket, count(*) as calls
          from widths
          join public.api_usage as usage
            on usage.at >= to_timestamp(widths.oldest * widths.seconds)
         cross join lateral (
            values ('tenant:' || usage.caller_tenant_id), ('api:' || usage.api_id),
                   ('key:' || coalesce(usage.counted_as, usage.key_id))
         ) as subjects (subject)
         cross join lateral (
            select floor(extract(epoch from usage.at) / widths.seconds) as bucket
         ) as place
         where usage.counted & private.counted_bit(subject, name) > 0
         group by 1, 2, 3
    ), held as (
        select counter.subject, widths.name, counter.bucket, counter.count
          from public.rate_limit_usage as counter
          join widths on widths.name = counter."window" and counter.bucket >= widths.oldest
    ), miscounted as (
        select subject, name, bucket, counts.calls as expected, held.count as found
          from counts
          full join held using (subject, name, bucket)
          join widths using (name)
         cross join unknown
         where counts.calls is distinct from held.count
           and (unknown.at is null or bucket > extract(epoch from unknown.at) / widths.seconds)
    ), differences as (
        select 'usage and ledger' as kind, jsonb_build_object(
            'at', at, 'request_id', request_id, 'account', account, 'api_id', api_id,
            'expected', expected, 'found', found
        ) as detail from unlike
        union all
        select 'ledger does not add up to zero', jsonb_build_object(
            'at', at, 'request_id', request_id, 'expected', 0, 'found', found
        ) from lopsided
        union all
        select 'balance and ledger', jsonb_build_object(
            'account', account, 'expected', expected, 'found', found
        ) from misadded
        union all
        select 'counters and usage', jsonb_build_object(
            'subject', subject, 'window', name, 'bucket', bucket,
            'expected', expected, 'found', found
        ) from miscounted
    ), by_hour as (
        select date_trunc('hour', at) as hour, api_id, count(*) as calls,
               count(*) filter (where price_nano_usd > 0) as priced,
               coalesce(sum(price_nano_usd), 0) as charged
          from usage
         group by 1, 2
    ), paid_by_hour as (
        select date_trunc('hour', at) as hour, api_id,
               count(*) filter (where amount < 0) as debits,
               count(*) filter (where amount > 0) as credits,
               coalesce(-sum(amount) filter (where amount < 0), 0) as paid
          from entries
         group by 1, 2
    )
    select jsonb_build_object(
        'since', p_since,
        'calls', (select count(*) from usage),
        'priced', (select count(*) from usage where price_nano_usd > 0),
        'charged', (select coalesce(sum(price_nano_usd), 0) from usage),
        'hours', (
            select coalesce(jsonb_agg(to_jsonb(hours) order by hour, api_id), '[]')
              from (
                select hour, api_id, coalesce(calls, 0) as calls, coalesce(priced, 0) as priced,
                       coalesce(charged, 0) as charged, coalesce(debits, 0) as debits,
                       coalesce(credits, 0) as credits, coalesce(paid, 0) as paid
                  from by_hour
                  full join paid_by_hour using (hour, api_id)
                 order by hour desc, api_id
                 limit 1000
              ) as hours
        ),
        'difference_count', (select count(*) from differences),
        'differences', (
            select coalesce(jsonb_agg(detail || jsonb_build_object('kind', kind)), '[]')
              from (select * from differences order by kind limit 200) as first_ones
        )
    )
$$;

-- Of these calls the ones that are stored, with what they cost: `[request id, time]` pairs.
create function public.stored_prices(p_calls jsonb) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(
        jsonb_agg(jsonb_build_array(usage.request_id, usage.price_nano_usd)), '[]'
    )
      from jsonb_array_elements(p_calls) as asked
      join public.api_usage as usage
        on usage.at = to_timestamp((asked ->> 1)::double precision)
       and usage.request_id = asked ->> 0
$$;

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
