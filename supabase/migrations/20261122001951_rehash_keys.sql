-- A new secret for the hashes of keys: a key is found under each of its hashes, and gets the one
-- under the current secret when it was used. Hashes begin with the name of their secret and a dot;
-- those under an installation's first one with neither.

-- The key with the first of these hashes that there is; `place` is that of the hash, from 1 on.
create function public.gateway_key_among(p_hashes jsonb) returns jsonb
language sql stable set search_path = '' as $$
    select found.key || jsonb_build_object('place', found.place)
      from (
        select public.gateway_key(hash) as key, place
          from jsonb_array_elements_text(p_hashes) with ordinality as given (hash, place)
      ) as found
     where found.key is not null
     order by found.place
     limit 1
$$;

-- p_keys: id, old_hash and new_hash of each. One that was revoked or hashed anew meanwhile stays.
create function public.rehash_keys(p_keys jsonb) returns int
language plpgsql set search_path = '' as $$
declare
    v_done int;
begin
    perform set_config('sandgate.rehash', 'on', true);
    with held as (
        select key.id, given.new_hash
          from public.consumer_api_keys as key
          join jsonb_to_recordset(p_keys) as given (id uuid, old_hash text, new_hash text)
            on given.id = key.id and given.old_hash = key.key_hash
         where key.revoked_at is null
         order by key.id
           for update of key
    )
    update public.consumer_api_keys as key
       set key_hash = held.new_hash
      from held
     where held.id = key.id;
    get diagnostics v_done = row_count;
    perform set_config('sandgate.rehash', 'off', true);
    return v_done;
end
$$;

-- Keys that can be used and that only another secret than the one of this name finds.
create function public.keys_to_rehash(p_id text) returns bigint
language sql stable set search_path = '' as $$
    select count(*)
      from public.consumer_api_keys
     where revoked_at is null
       and (expires_at is null or expires_at > now())
       and (ends_at is null or ends_at > now())
       and split_part(key_hash, '.', 1) <> p_id
$$;

-- The key is the same under any hash: nobody who knows it has to hear of the change.
drop trigger announce_key on public.consumer_api_keys;
create trigger announce_key
    after insert or delete or update of
        tenant_id, key_hash, limits, expires_at, revoked_at, scopes, allowed_addresses, ends_at
    on public.consumer_api_keys
    for each row when (current_setting('sandgate.rehash', true) is distinct from 'on')
    execute function private.on_cached_row_changed('key', 'id');

revoke all on function
    public.gateway_key_among(jsonb), public.rehash_keys(jsonb), public.keys_to_rehash(text)
from public, anon, authenticated;
grant execute on function
    public.gateway_key_among(jsonb), public.rehash_keys(jsonb), public.keys_to_rehash(text)
to service_role;
