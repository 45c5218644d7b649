-- What the gateway reads when its caches do not know.

create function public.gateway_route(p_ref text) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'api_id', api.id,
        'slug', api.slug,
        'tenant_id', api.tenant_id,
        'tenant_status', tenant.status,
        'status', api.status,
        'generation', api.generation,
        'limits', api.limits,
        'resources', api.resources,
        'versions', coalesce(
            (
                select jsonb_agg(
                    jsonb_build_object(
                        'version_id', version.id, 'n', version.n, 'weight', deployment.weight
                    )
                    order by deployment.weight desc, version.n
                )
                  from public.deployments as deployment
                  join public.api_versions as version on version.id = deployment.version_id
                 where deployment.api_id = api.id and deployment.status = 'active'
            ),
            '[]'
        )
    )
      from public.apis as api
      join public.tenants as tenant on tenant.id = api.tenant_id
     where api.slug = p_ref
        or api.id = case
            when p_ref ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then p_ref::uuid
        end
$$;

create function public.gateway_version(p_api_id uuid, p_n int) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object('version_id', id, 'n', n)
      from public.api_versions
     where api_id = p_api_id and n = p_n
$$;

create function public.gateway_code(p_version_id uuid) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object('code', code, 'digest', digest)
      from public.api_versions
     where id = p_version_id
$$;

create function public.gateway_key(p_key_hash text) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'key_id', key.id,
        'tenant_id', key.tenant_id,
        'tenant_status', tenant.status,
        'plan', tenant.plan,
        'plan_limits', plan.limits,
        'tenant_limits', tenant.limits,
        'limits', key.limits,
        'api_ids', coalesce(
            (
                select jsonb_agg(link.api_id order by link.api_id)
                  from public.consumer_api_key_apis as link
                 where link.key_id = key.id
            ),
            '[]'
        ),
        'expires_at', key.expires_at,
        'revoked_at', key.revoked_at
    )
      from public.consumer_api_keys as key
      join public.tenants as tenant on tenant.id = key.tenant_id
      join public.plans as plan on plan.name = tenant.plan
     where key.key_hash = p_key_hash
$$;
