"""The cache's steps that must happen as a whole: Lua scripts that Redis runs.

Knows where among its keys a script finds what. Which keys these are is
:mod:`~vumi.components.message_store.cache`'s.
"""

from __future__ import annotations

__all__ = ["ADD", "EVENT_STATUSES", "REMOVE", "RESULTS", "START"]

#: What is counted of events, and how many messages were sent.
EVENT_STATUSES = (
    "ack",
    "nack",
    "delivery_report",
    "delivery_report.pending",
    "delivery_report.failed",
    "delivery_report.delivered",
    "sent",
)
_STATUS_WORDS = ", ".join(f"'{status}'" for status in EVENT_STATUSES)

#: Makes the figures of a batch that is new; what is there stays.
#: KEYS: batches, status, then pairs of a sorted set and its counter. ARGV[1]: the batch.
_BEGIN = f"""
local function begin(counted)
  if redis.call('SADD', KEYS[1], ARGV[1]) == 1 and counted then
    for i = 3, 8, 2 do redis.call('SETNX', KEYS[i + 1], redis.call('ZCARD', KEYS[i])) end
  end
  for _, status in ipairs({{{_STATUS_WORDS}}}) do redis.call('HSETNX', KEYS[2], status, 0) end
end
local function cut(set, limit)
  redis.call('ZREMRANGEBYRANK', set, 0, -limit - 1)
end
"""

START = (
    _BEGIN
    + """
begin(false)
if ARGV[2] == '1' then
  for i = 3, 8, 2 do
    redis.call('SETNX', KEYS[i + 1], redis.call('ZCARD', KEYS[i]))
    cut(KEYS[i], tonumber(ARGV[3]))
  end
end
"""
)

#: Adds messages or events that are not there. KEYS[9] is where addresses are counted.
#: ARGV: batch, which pair of keys, limit, whether they are new ('1', '0', or '' if nobody knows),
#: whether they are events, then for each: id, time, address or status.
ADD = (
    _BEGIN
    + """
begin(true)
local set, count = KEYS[tonumber(ARGV[2])], KEYS[tonumber(ARGV[2]) + 1]
local limit, events = tonumber(ARGV[3]), ARGV[5] == '1'
local counted = redis.call('EXISTS', count) == 1
if events and not counted then return 0 end
local added = 0
for i = 6, #ARGV, 3 do
  local id, time, term = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local seen = redis.call('ZSCORE', set, id)
  if not seen and counted and ARGV[4] == '0' and redis.call('ZCARD', set) >= limit then
    seen = true
  end
  if not seen then
    added = added + 1
    redis.call('ZADD', set, time, id)
    if counted then
      redis.call('INCR', count)
      cut(set, limit)
    end
    if events then
      redis.call('HINCRBY', KEYS[2], term, 1)
      local whole = string.match(term, '^(.-)%.')
      if whole then redis.call('HINCRBY', KEYS[2], whole, 1) end
    else
      if term ~= '' then redis.call('PFADD', KEYS[9], term) end
      if ARGV[2] == '5' then redis.call('HINCRBY', KEYS[2], 'sent', 1) end
    end
  end
end
return added
"""
)

#: Takes erased messages or events out. Keys and arguments as for ADD, without the limit
#: and what is new; for each: id, status.
REMOVE = """
local set, count = KEYS[tonumber(ARGV[2])], KEYS[tonumber(ARGV[2]) + 1]
local events = ARGV[3] == '1'
local function less(field)
  if tonumber(redis.call('HGET', KEYS[2], field) or '0') > 0 then
    redis.call('HINCRBY', KEYS[2], field, -1)
  end
end
for i = 4, #ARGV, 2 do
  redis.call('ZREM', set, ARGV[i])
  if tonumber(redis.call('GET', count) or '0') > 0 then redis.call('DECR', count) end
  if events then
    less(ARGV[i + 1])
    local whole = string.match(ARGV[i + 1], '^(.-)%.')
    if whole then less(whole) end
  elseif ARGV[2] == '5' then
    less('sent')
  end
end
"""

#: Adds results to a search's. KEYS: results, the batch's messages. ARGV: seconds that they stay,
#: then for each: id, and its time if that is known.
RESULTS = """
for i = 2, #ARGV, 2 do
  local time = ARGV[i + 1]
  if time == '' then time = redis.call('ZSCORE', KEYS[2], ARGV[i]) or 0 end
  redis.call('ZADD', KEYS[1], time, ARGV[i])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""
