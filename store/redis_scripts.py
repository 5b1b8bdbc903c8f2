"""What Redis does for the shared state: Lua scripts, each of which is one step that nobody comes between.

A key of ours that somebody else has written, of another type or in another form, holds nothing: it is written anew.
Else one such key would fail all that is asked together with it, at every try. Times are of Redis's clock, which may go
back: after a failover to a machine whose clock is behind.
"""

from __future__ import annotations

_OURS = r"""
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] -- microseconds: exact in Lua until 2255
local function text(key, form)
    local held = redis.pcall('GET', key) -- a table is an error
    return type(held) == 'string' and string.match(held, form) or nil
end
local function number(text)
    local found = tonumber(text)
    return found and found > -9e15 and found < 9e15 and found or 0 -- and not nan
end
local function be_hash(key)
    local kind = redis.call('TYPE', key)['ok']
    if kind ~= 'hash' and kind ~= 'none' then redis.call('DEL', key) end
end
"""

# An owner's lease is "EPOCH OWNER". KEYS: the last epoch of all, then the calls' leases.
# ARGV: owner, milliseconds. The answer: an epoch for each call, "" where another owner has it.
LEASE = (
    _OURS
    + """
local epoch, epochs = math.max(now, number(text(KEYS[1], '^%d+$')) + 1), {}
for i = 2, #KEYS do
    local owner = text(KEYS[i], '^%d+ (.+)$')
    if owner and owner ~= ARGV[1] then
        epochs[i - 1] = ''
    else
        epochs[i - 1] = string.format('%.0f', epoch)
        redis.call('SET', KEYS[i], epochs[i - 1] .. ' ' .. ARGV[1], 'PX', ARGV[2])
        redis.call('SET', KEYS[1], epochs[i - 1])
        epoch = epoch + 1
    end
end
return epochs
"""
)
# ARGV: milliseconds, then each call's lease, whose epoch may be of a process that could not ask Redis.
# The answer: 1 for each call that is still ours, else 0.
RENEW = (
    _OURS
    + """
local ours, last = {}, number(text(KEYS[1], '^%d+$'))
for i = 2, #KEYS do
    local held = text(KEYS[i], '^%d+ .+$')
    if held and held ~= ARGV[i] then
        ours[i - 1] = 0
    else
        ours[i - 1] = 1
        redis.call('SET', KEYS[i], ARGV[i], 'PX', ARGV[1])
        local epoch = string.match(ARGV[i], '^%d+')
        if tonumber(epoch) > last then
            last = tonumber(epoch)
            redis.call('SET', KEYS[1], epoch)
        end
    end
end
return ours
"""
)
RELEASE = """
for i = 1, #KEYS do
    if redis.pcall('GET', KEYS[i]) == ARGV[i] then redis.call('DEL', KEYS[i]) end
end
return 1
"""
# ARGV: the process, its own total, for how many milliseconds the counter is kept from now on. Who has counted nothing
# leaves nothing.
COUNT = (
    _OURS
    + """
be_hash(KEYS[1])
if ARGV[2] ~= '0' or redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local sum = 0
for _, total in ipairs(redis.call('HVALS', KEYS[1])) do sum = sum + number(total) end
return sum
"""
)
# ARGV: the interval and the period, in microseconds.
ALLOW = (
    _OURS
    + """
local due = number(text(KEYS[1], '^%d+$'))
if due > now + ARGV[2] then due = now end
due = math.max(due, now) + ARGV[1]
if due - now > tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000))
return 1
"""
)
# A node's field is "BEAT END INFO", times in microseconds. ARGV: name, microseconds, info.
BEAT = (
    _OURS
    + """
be_hash(KEYS[1])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %.0f %s', now, now + ARGV[2], ARGV[3]))
return 1
"""
)
# The answer: name, microseconds since the beat, info.
NODES = (
    _OURS
    + """
be_hash(KEYS[1])
local found, all = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
    local at, ends, info = string.match(all[i + 1], '^(%d+) (%d+) (.*)$')
    at, ends = number(at), number(ends)
    if ends > now and at - now < ends - at then
        found[#found + 1] = {all[i], string.format('%.0f', math.max(0, now - at)), info}
    else
        redis.call('HDEL', KEYS[1], all[i])
    end
end
return found
"""
)
# Whether Redis takes what is written: a replica, and one without memory or disk, answer questions all the same.
PROBE = "redis.call('SET', KEYS[1], 1, 'PX', 1000) return 1"

ALL = (LEASE, RENEW, RELEASE, COUNT, ALLOW, BEAT, NODES, PROBE)
