-- Every change that a gateway may have cached is announced on one channel.

create function private.announce(p_kind text, p_id text) returns void
language sql set search_path = '' as $$
    select pg_notify('sandgate_changes', json_build_object('kind', p_kind, 'id', p_id)::text)
$$;

-- Arguments: the kind, and the column that holds the id.
create function private.on_cached_row_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    v_row jsonb := to_jsonb(case when tg_op = 'DELETE' then old else new end);
begin
    perform private.announce(tg_argv[0], v_row ->> tg_argv[1]);
    return null;
end
$$;

create trigger announce_api after insert or update or delete on public.apis
    for each row execute function private.on_cached_row_changed('api', 'id');
create trigger announce_deployment after insert or update or delete on public.deployments
    for each row execute function private.on_cached_row_changed('api', 'api_id');
create trigger announce_tenant after insert or update or delete on public.tenants
    for each row execute function private.on_cached_row_changed('tenant', 'id');
create trigger announce_plan after insert or update or delete on public.plans
    for each row execute function private.on_cached_row_changed('plan', 'name');
-- not on last_used_at, which changes with every batch of calls
create trigger announce_key
    after insert or delete or update of tenant_id, key_hash, limits, expires_at, revoked_at
    on public.consumer_api_keys
    for each row execute function private.on_cached_row_changed('key', 'id');
create trigger announce_key_api after insert or delete on public.consumer_api_key_apis
    for each row execute function private.on_cached_row_changed('key', 'key_id');
