-- How much of a tenant's quota its files take, counted as the quota counts.
create function public.upload_bytes(p_tenant_id uuid) returns bigint
language sql stable set search_path = '' as $$
    select coalesce(sum(bytes), 0)::bigint from public.uploads where tenant_id = p_tenant_id
$$;

revoke all on function public.upload_bytes(uuid) from public, anon, authenticated;
grant execute on function public.upload_bytes(uuid) to service_role;
