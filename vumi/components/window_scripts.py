"""The Lua scripts of :mod:`vumi.components.window_manager`, which tells what the keys are.

All have the keys: windows, waiting, in flight, flight stats, key map.
"""

from __future__ import annotations

__all__ = [
    "ADD",
    "CLEAR_ID",
    "CREATE",
    "EXPIRE",
    "NEXT",
    "REMOVE",
    "REMOVE_WINDOW",
    "SET_ID",
]

# Arguments: window, time. Gives whether it is new.
CREATE = "return redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[1])"

# Arguments: item, data.
ADD = """
redis.call('SET', KEYS[2] .. ':' .. ARGV[1], ARGV[2])
redis.call('LPUSH', KEYS[2], ARGV[1])
"""

# Arguments: window size, time. Gives the item, if there is one and room for it.
NEXT = """
if redis.call('LLEN', KEYS[3]) >= tonumber(ARGV[1]) then return false end
local item = redis.call('RPOPLPUSH', KEYS[2], KEYS[3])
if item then redis.call('ZADD', KEYS[4], ARGV[2], item) end
return item
"""

# Removes an item with all that belongs to it; gives its data.
FORGET = """
local function forget(item)
    local data = redis.call('GET', KEYS[2] .. ':' .. item)
    local id = redis.call('GET', KEYS[5] .. ':external:' .. item)
    redis.call('LREM', KEYS[3], 0, item)
    redis.call('ZREM', KEYS[4], item)
    redis.call('DEL', KEYS[2] .. ':' .. item, KEYS[5] .. ':external:' .. item)
    if id then redis.call('DEL', KEYS[5] .. ':internal:' .. id) end
    return data
end
"""

# Argument: item.
REMOVE = FORGET + "forget(ARGV[1])"

# Arguments: item, the latest start of a flight that has expired. Gives a list: nothing if the item
# is not in flight, or not for so long; else its data.
EXPIRE = (
    FORGET
    + """
local started = redis.call('ZSCORE', KEYS[4], ARGV[1])
if not started or tonumber(started) > tonumber(ARGV[2]) then return {} end
return {forget(ARGV[1]) or ''}
"""
)

# Arguments: window, whether items in flight may be forgotten (1 or 0). Gives how many items are in
# the way; if there are any, nothing is removed.
REMOVE_WINDOW = (
    FORGET
    + """
local kept = redis.call('LLEN', KEYS[2])
if ARGV[2] == '0' then kept = kept + redis.call('LLEN', KEYS[3]) end
if kept > 0 then return kept end
for _, item in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do forget(item) end
redis.call('DEL', KEYS[4])
redis.call('ZREM', KEYS[1], ARGV[1])
return 0
"""
)

# Arguments: item, external id. Gives whether there is such an item.
SET_ID = """
if redis.call('EXISTS', KEYS[2] .. ':' .. ARGV[1]) == 0 then return 0 end
local old = redis.call('GET', KEYS[5] .. ':external:' .. ARGV[1])
if old then redis.call('DEL', KEYS[5] .. ':internal:' .. old) end
redis.call('SET', KEYS[5] .. ':external:' .. ARGV[1], ARGV[2])
redis.call('SET', KEYS[5] .. ':internal:' .. ARGV[2], ARGV[1])
return 1
"""

# Argument: item.
CLEAR_ID = """
local id = redis.call('GET', KEYS[5] .. ':external:' .. ARGV[1])
redis.call('DEL', KEYS[5] .. ':external:' .. ARGV[1])
if id then redis.call('DEL', KEYS[5] .. ':internal:' .. id) end
"""
