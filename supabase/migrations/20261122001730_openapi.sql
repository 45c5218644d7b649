-- The OpenAPI document of a version: what its app said in the sandbox before it was stored,
-- cleaned by the gateway. Written once; without one, the note says why.

-- json, not jsonb: the order of paths and fields is the author's
alter table public.api_versions
    add column openapi json,
    add column openapi_note text check (length(openapi_note) between 1 and 500);

-- another column's trigger function: a version never changes
create trigger version_document_is_immutable
    before update of openapi, openapi_note on public.api_versions
    for each row
    when (old.openapi is not null or old.openapi_note is not null)
    execute function private.on_version_changed();

grant update (openapi, openapi_note) on public.api_versions to service_role;

-- Fills what was never filled; answers whether it did. Asking again changes nothing.
create function public.set_version_openapi(
    p_version_id uuid, p_document json default null, p_note text default null
) returns boolean
language plpgsql set search_path = '' as $$
begin
    if (p_document is null) = (p_note is null) then
        perform private.refuse(422, 'invalid_input', 'Either a document or a note is needed.');
    end if;
    update public.api_versions
       set openapi = p_document, openapi_note = p_note
     where id = p_version_id and openapi is null and openapi_note is null;
    return found;
end
$$;

revoke all on function public.set_version_openapi from public, anon, authenticated;
grant execute on function public.set_version_openapi to service_role;
