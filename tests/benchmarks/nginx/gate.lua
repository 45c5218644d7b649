-- Key check against a keyed hash, then three windows in one trip to Redis on a kept connection.
local redis = require "nginx.redis"

local gate = {}
local secret = "bench"
local known, host, port, script, sha = {}, nil, nil, nil, nil

function gate.open(key, redis_host, redis_port, script_path)
    known[ngx.encode_base64(ngx.hmac_sha1(secret, key))] = "caller"
    host, port = redis_host, redis_port
    local file = assert(io.open(script_path))
    script = file:read("*a")
    file:close()
end

local function decide(connection, caller)
    local minute = "{" .. caller .. "}:minute"
    local hour = "{" .. caller .. "}:hour"
    local day = "{" .. caller .. "}:day"
    return connection:evalsha(sha, 3, minute, hour, day,
        100000000, 60, 1000000000, 3600, 1000000000, 86400)
end

function gate.admit()
    local key = ngx.var.http_x_api_key
    local caller = key and known[ngx.encode_base64(ngx.hmac_sha1(secret, key))]
    if not caller then
        return ngx.exit(401)
    end
    local connection = redis:new()
    connection:set_timeout(1000)
    if not connection:connect(host, port) then
        return ngx.exit(503)
    end
    if not sha then
        sha = connection:script("LOAD", script)
    end
    local admitted = decide(connection, caller)
    connection:set_keepalive(60000, 128)
    if admitted ~= 1 then
        return ngx.exit(429)
    end
end

return gate
