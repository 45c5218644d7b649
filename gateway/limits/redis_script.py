"""What runs inside Redis: each script is one step that nothing comes between.

A counter is one string of 260 bytes under `{sandgate}<window>:<subject>`: present bucket, oldest
bucket with calls, total, calls in the present bucket, then 61 slots for the buckets before, all
little-endian 32 bit; the algorithm is that of `gateway.limits.window`. Within a bucket a call
changes eight bytes in place. A counter vanishes by itself when its newest call has left the window.
A balance is a hash: g granted, s spent.
"""

import hashlib
from dataclasses import dataclass

CREDIT_IDLE_SECONDS = 2 * 3600  # an account nobody uses is loaded from the database again

_CLOCK = """
local time = redis.call('TIME')
local now, micros = tonumber(time[1]), tonumber(time[2])
"""

# load(text, width): the counter advanced to the present: text or nil when it is empty, present,
# oldest, total, calls in the present bucket, and whether the text needs no writing as a whole.
_COUNTER = """
local floor, unpack4, pack4 = math.floor, struct.unpack, struct.pack
local function slot(text, bucket, present, current)
  if bucket == present then return current end
  return text and (unpack4('<I4', text, 17 + bucket % 61 * 4)) or 0
end
local function advanced(text, stood, oldest, current, present)
  local all = '<' .. string.rep('I4', 61)
  local slots = {unpack4(all, text, 17)}
  slots[62] = nil
  slots[stood % 61 + 1] = current
  for bucket = stood + 1, present do slots[bucket % 61 + 1] = 0 end
  local kept, first = 0, nil
  for bucket = math.max(oldest, present - 60), stood do
    local count = slots[bucket % 61 + 1]
    if count > 0 then
      kept = kept + count
      first = first or bucket
    end
  end
  return string.rep('\\0', 16) .. pack4(all, unpack(slots)), present, first or present, kept, 0
end
local function load(text, width)
  local present = floor(now / width)
  if not text then return nil, present, present, 0, 0, false end
  local stood, oldest, total, current = unpack4('<I4I4I4I4', text)
  if stood >= present then
    return text, stood, total > 0 and oldest or stood, total, current, total > 0
  end
  if total == 0 or present - stood > 60 then return nil, present, present, 0, 0, false end
  return advanced(text, stood, oldest, current, present)
end
local function save(key, width, text, present, oldest, total, current)
  local slots = text and text:sub(17) or string.rep('\\0', 244)
  redis.call('SET', key, pack4('<I4I4I4I4', present, oldest, total, current) .. slots,
             'EX', width * 62)
end
"""

# KEYS: epoch, one a limit, balance if there is a price.
# ARGV: epoch's value, number of limits, price or 0 or `look`, calls (one if there is a price),
# calls wanted ahead, then width and quantity of each limit.
# Answers: -1 the epoch is another · 0 full · 1 all admitted · 2 no credit · 3 balance unknown,
# each followed by what is left and seconds to the next, limit by limit · 4 all admitted, with
# calls ahead: how many, microseconds for which they are good, then the same, then the bucket of
# each limit · 5 only some admitted: how many, then the same.
_DECIDE = """
local count, price = tonumber(ARGV[2]), ARGV[3]
local held = redis.call('MGET', unpack(KEYS, 1, count + 1))
if held[1] ~= ARGV[1] then return {-1} end
local texts, presents, oldests, totals, currents, kept = {}, {}, {}, {}, {}, {}
local code, room = 1, 4294967295
for i = 1, count do
  texts[i], presents[i], oldests[i], totals[i], currents[i], kept[i] =
    load(held[i + 1], tonumber(ARGV[2 * i + 4]))
  local left = tonumber(ARGV[2 * i + 5]) - totals[i]
  if left < room then room = left end
end
if room < 1 then code = 0 end
if code == 1 and price ~= '0' and price ~= 'look' then
  local account = KEYS[count + 2]
  local held = redis.call('HMGET', account, 'g', 's')
  if not held[1] or not held[2] then
    code = 3
  elseif tonumber(held[1]) - tonumber(held[2]) < tonumber(price) then
    code = 2
  else
    redis.call('HINCRBY', account, 's', price)
    redis.call('EXPIRE', account, IDLE)
  end
end
local taken, ahead = 0, 0
if code == 1 and price ~= 'look' then
  local calls = tonumber(ARGV[4])
  taken = math.min(calls, room)
  if taken < calls then
    code = 5
  else
    ahead = math.min(tonumber(ARGV[5]), floor((room - taken) / 16))
  end
  for i = 1, count do
    local total, current = totals[i] + taken + ahead, currents[i] + taken + ahead
    totals[i], currents[i] = total, current
    if kept[i] then
      redis.call('SETRANGE', KEYS[i + 1], 8, pack4('<I4I4', total, current))
    else
      if total == current then oldests[i] = presents[i] end
      save(KEYS[i + 1], tonumber(ARGV[2 * i + 4]), texts[i], presents[i], oldests[i], total,
           current)
    end
  end
end
local answer, micro = {code}, 1000000 * 86400
if ahead > 0 then answer = {4, ahead, 0} elseif code == 5 then answer = {5, taken} end
for i = 1, count do
  local width, quantity = tonumber(ARGV[2 * i + 4]), tonumber(ARGV[2 * i + 5])
  local bucket, total = oldests[i], totals[i]
  local reset = 0
  if total > 0 then
    local left = total - slot(texts[i], bucket, presents[i], currents[i])
    while left > 0 and left >= quantity do
      bucket = bucket + 1
      left = left - slot(texts[i], bucket, presents[i], currents[i])
    end
    reset = (bucket + 61) * width - math.max(now, presents[i] * width)
  end
  answer[#answer + 1] = math.max(quantity - total, 0)
  answer[#answer + 1] = reset
  micro = math.min(micro, ((presents[i] + 1) * width - now) * 1000000 - micros)
end
if ahead > 0 then
  answer[3] = micro
  for i = 1, count do answer[#answer + 1] = presents[i] end
end
return answer
"""

# KEYS: a counter, and the epoch where it must still hold. ARGV: width, `raise` or `add` or `take`,
# then bucket and count, newest first, and the epoch's value if its key is there.
# `raise` brings the total up to that of these calls; `add` adds all; `take` takes them out.
_CHANGE = """
local width, how, last = tonumber(ARGV[1]), ARGV[2], #ARGV
if KEYS[2] then
  if redis.call('GET', KEYS[2]) ~= ARGV[last] then return 0 end
  last = last - 1
end
local text, present, oldest, total, current = load(redis.call('GET', KEYS[1]), width)
local all = '<' .. string.rep('I4', 61)
local slots = {unpack4(all, text or string.rep('\\0', 260), 17)}
slots[62] = nil
slots[present % 61 + 1] = current
local changes, sum = {}, 0
for i = 3, last, 2 do
  local bucket, count = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if bucket >= present - 60 then
    bucket = math.min(bucket, present)
    changes[#changes + 1] = {bucket, count}
    sum = sum + count
  end
end
local left = how == 'raise' and sum - total or sum
for _, change in ipairs(changes) do
  local place, count = change[1] % 61 + 1, math.min(change[2], left)
  if how == 'take' then count = -math.min(count, slots[place]) end
  if count ~= 0 and left > 0 then
    slots[place] = math.min(slots[place] + count, 2000000000)
    if total == 0 or change[1] < oldest then oldest = change[1] end
    total = math.min(total + count, 4000000000)
    left = left - math.abs(count)
  end
end
while total > 0 and oldest < present and slots[oldest % 61 + 1] == 0 do oldest = oldest + 1 end
if #changes > 0 then
  save(KEYS[1], width, string.rep('\\0', 16) .. pack4(all, unpack(slots)), present, oldest, total,
       slots[present % 61 + 1])
end
return total
"""

# KEYS: a balance. ARGV: amount.
_REFUND = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HINCRBY', KEYS[1], 's', '-' .. ARGV[1]) end
return 1
"""

# KEYS: a balance. ARGV: granted, spent.
_CREDIT = """
redis.call('HSET', KEYS[1], 'g', ARGV[1])
redis.call('HSETNX', KEYS[1], 's', ARGV[2])
redis.call('EXPIRE', KEYS[1], IDLE)
return 1
"""

# KEYS: opening, epoch. ARGV: what opening must still say, the new epoch.
_OPEN = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], ARGV[2])
return 1
"""


@dataclass(frozen=True, slots=True)
class Script:
    """Text of a script and the digest Redis knows it by once it has run."""

    text: str
    digest: str

    @classmethod
    def of(cls, text: str) -> "Script":
        """With its digest."""
        return cls(text, hashlib.sha1(text.encode()).hexdigest())  # noqa: S324 - Redis' choice


@dataclass(frozen=True, slots=True)
class Scripts:
    """All of them."""

    decide: Script
    change: Script
    refund: Script
    credit: Script
    open: Script


def scripts(clock: str = _CLOCK) -> Scripts:
    """`clock` is Lua that sets `now` and `micros`; the store's own unless a test has another."""
    idle = str(CREDIT_IDLE_SECONDS)
    return Scripts(
        decide=Script.of(clock + _COUNTER + _DECIDE.replace("IDLE", idle)),
        change=Script.of(clock + _COUNTER + _CHANGE),
        refund=Script.of(_REFUND),
        credit=Script.of(_CREDIT.replace("IDLE", idle)),
        open=Script.of(_OPEN),
    )
