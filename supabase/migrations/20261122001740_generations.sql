-- Every announced change raises one number, the generation, in the transaction that makes it;
-- a gateway that sees the number move past what it has heard knows that it missed something.
-- And who the gateways are: what each of them has handled.

-- --- the generation ------------------------------------------------------------------------

-- One row, written under its lock. A sequence would not do: a number taken early may become
-- visible late, behind one that was seen already, and would never be missed.
create table private.generation (
    is_one boolean primary key default true check (is_one),
    value bigint not null
);
insert into private.generation (value) values (1);

-- What a transaction has to announce when it commits. A row lives as long as its transaction.
create unlogged table private.announcements (
    id bigint primary key generated always as identity,
    kind text not null,
    ref text not null
);

-- The number of this transaction, the same for all that it announces.
create function private.raise_generation() returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    v_raised text[] := string_to_array(current_setting('sandgate.raised', true), ':');
    v_xid text := pg_current_xact_id()::text;
    v_value bigint;
begin
    if v_raised[1] = v_xid then
        return v_raised[2]::bigint;
    end if;
    update private.generation set value = value + 1 returning value into v_value;
    perform set_config('sandgate.raised', v_xid || ':' || v_value, true);
    return v_value;
end
$$;

-- Runs while the transaction commits, so the row of the generation is held for that moment
-- only, in which NOTIFY lets no other announcing transaction commit anyway: nobody waits
-- longer than before, and numbers become visible in their order.
create function private.on_announced() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform pg_notify(
        'sandgate_changes',
        json_build_object(
            'kind', new.kind, 'id', new.ref, 'generation', private.raise_generation()
        )::text
    );
    delete from private.announcements where id = new.id;
    return null;
end
$$;

create constraint trigger announce after insert on private.announcements
    deferrable initially deferred for each row execute function private.on_announced();

create or replace function private.announce(p_kind text, p_id text) returns void
language sql security definer set search_path = '' as $$
    insert into private.announcements (kind, ref) values (p_kind, coalesce(p_id, ''))
$$;

create function public.gateway_generation() returns bigint
language sql stable security definer set search_path = '' as $$
    select value from private.generation
$$;

-- Every gateway forgets everything it remembers.
create function public.gateway_forget_all() returns bigint
language plpgsql security definer set search_path = '' as $$
begin
    perform private.announce('all', '');
    return private.raise_generation();
end
$$;

-- --- the gateways --------------------------------------------------------------------------

-- What a crash of the server forgets, the next report brings back.
create unlogged table private.gateway_workers (
    id text primary key,
    node text not null,
    name text not null,
    pid int not null,
    started_at timestamptz not null,
    seen_at timestamptz not null default clock_timestamp(),
    handled_at timestamptz not null,
    generation bigint not null,
    in_flight int not null,
    broken jsonb not null
);

-- A gateway tells what it has handled; answers the generation there is.
create function public.gateway_report(
    p_id text, p_node text, p_name text, p_pid int, p_started_at timestamptz,
    p_handled_at timestamptz, p_generation bigint, p_in_flight int, p_broken jsonb
) returns bigint
language plpgsql security definer set search_path = '' as $$
begin
    insert into private.gateway_workers as known
        (id, node, name, pid, started_at, handled_at, generation, in_flight, broken)
    values
        (p_id, p_node, p_name, p_pid, p_started_at, p_handled_at, p_generation, p_in_flight,
         p_broken)
    on conflict (id) do update
       set seen_at = clock_timestamp(), handled_at = excluded.handled_at,
           generation = excluded.generation, in_flight = excluded.in_flight,
           broken = excluded.broken;
    delete from private.gateway_workers
     where seen_at < clock_timestamp() - interval '1 minute';
    return (select value from private.generation);
end
$$;

create function public.gateway_left(p_id text) returns void
language sql security definer set search_path = '' as $$
    delete from private.gateway_workers where id = p_id
$$;

-- The generation, and every gateway that reported a moment ago.
create function public.gateway_workers(p_seconds double precision default 5) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'generation', (select value from private.generation),
        'workers', coalesce(
            (
                select jsonb_agg(
                    to_jsonb(worker) || jsonb_build_object(
                        'seen_seconds',
                        extract(epoch from clock_timestamp() - worker.seen_at),
                        'snapshot_seconds',
                        extract(epoch from clock_timestamp() - worker.handled_at)
                    )
                    order by worker.node, worker.name, worker.started_at
                )
                  from private.gateway_workers as worker
                 where worker.seen_at >= clock_timestamp() - make_interval(secs => p_seconds)
            ),
            '[]'
        )
    )
$$;

-- --- every route, to be looked at aside ----------------------------------------------------

-- A page of routes by id; a row that cannot even be read is told with its error.
create function public.gateway_routes(
    p_after uuid default null, p_limit int default 1000, p_only uuid default null
) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    v_id uuid;
    v_found jsonb := '[]';
begin
    for v_id in
        select id from public.apis
         where (p_after is null or id > p_after) and (p_only is null or id = p_only)
         order by id
         limit p_limit
    loop
        begin
            v_found := v_found || jsonb_build_array(
                jsonb_build_object('id', v_id, 'route', public.gateway_route(v_id::text))
            );
        exception when others then
            v_found := v_found || jsonb_build_array(
                jsonb_build_object('id', v_id, 'error', sqlerrm)
            );
        end;
    end loop;
    return v_found;
end
$$;

-- The APIs that always keep sandboxes are read after every change, so they are found at once.
create index apis_kept_idx on public.apis (created_at, id)
    where status = 'active' and (instances ->> 'min')::int > 0;

revoke all on private.generation, private.announcements, private.gateway_workers
    from public, anon, authenticated, service_role;
revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
