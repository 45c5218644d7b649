-- A new key for the secrets of APIs: what was sealed under another one is sealed anew.

-- Secrets whose ciphertext does not begin with `p_head` (base64), some at a time in their order,
-- after the one given.
create function public.secrets_to_reseal(
    p_head text, p_after_api uuid, p_after_name text, p_limit int default 100
) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(found) order by api_id, name), '[]')
      from (
        select api_id, name, translate(encode(value, 'base64'), E'\n', '') as value
          from public.api_secrets
         where (api_id, name) > (p_after_api, p_after_name)
           and substring(value from 1 for octet_length(decode(p_head, 'base64')))
                <> decode(p_head, 'base64')
         order by api_id, name
         limit p_limit
      ) as found
$$;

-- False when it was set or deleted meanwhile: that one stays as it is.
create function public.reseal_secret(p_api_id uuid, p_name text, p_old text, p_new text)
returns boolean
language plpgsql set search_path = '' as $$
begin
    update public.api_secrets
       set value = decode(p_new, 'base64')
     where api_id = p_api_id and name = p_name and value = decode(p_old, 'base64');
    return found;
end
$$;

-- The value is the same under any key: nobody who knows it has to hear of the change.
drop trigger announce_secret on public.api_secrets;
create trigger announce_secret
    after insert or delete or update of bytes, hosts, placeholder, updated_at
    on public.api_secrets
    for each row execute function private.on_cached_row_changed('api', 'api_id');

revoke all on all functions in schema public, private from public, anon, authenticated;
grant execute on all functions in schema public, private to service_role;
