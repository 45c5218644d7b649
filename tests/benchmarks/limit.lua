-- Three fixed windows in one trip, as most people write it. Every peer runs this same script.
-- KEYS: one counter per window. ARGV: limit and seconds of each.
for i, key in ipairs(KEYS) do
    local calls = redis.call('INCR', key)
    if calls == 1 then
        redis.call('EXPIRE', key, ARGV[2 * i])
    end
    if calls > tonumber(ARGV[2 * i - 1]) then
        return 0
    end
end
return 1
