-- Helpers in a schema of their own: the REST interface exposes `public` alone.

create schema private;
revoke all on schema private from public;
grant usage on schema private to service_role;

-- Ends the statement with an outcome for the caller: HTTP status, stable code, public text.
create function private.refuse(p_status int, p_code text, p_detail text) returns void
language plpgsql set search_path = '' as $$
begin
    raise exception using errcode = 'PT' || p_status, message = p_code, detail = p_detail;
end
$$;

-- {"minute"|"hour"|"day": positive whole number, or null for unlimited}
create function private.valid_limits(p_limits jsonb) returns boolean
language sql immutable set search_path = '' as $$
    select jsonb_typeof(p_limits) = 'object' and not exists (
        select
          from jsonb_each(case when jsonb_typeof(p_limits) = 'object' then p_limits end) as entry
         where entry.key not in ('minute', 'hour', 'day')
            or not case jsonb_typeof(entry.value)
                when 'null' then true
                when 'number' then entry.value::numeric between 1 and 1000000000
                    and entry.value::numeric % 1 = 0
                else false
            end
    )
$$;

-- {"memory_mb"|"cpus"|"pids"|"tmp_mb": positive number}
create function private.valid_resources(p_resources jsonb) returns boolean
language sql immutable set search_path = '' as $$
    select jsonb_typeof(p_resources) = 'object' and not exists (
        select
          from jsonb_each(case when jsonb_typeof(p_resources) = 'object' then p_resources end) as entry
         where entry.key not in ('memory_mb', 'cpus', 'pids', 'tmp_mb')
            or not case jsonb_typeof(entry.value)
                when 'number' then entry.value::numeric > 0
                else false
            end
    )
$$;
