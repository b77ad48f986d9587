-- KEYS: the value, the owner's list of them. ARGV: ms to keep, most values, the name, entry.
-- The entry is written first: a Redis that is full lets a script write that has begun to.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[2], ARGV[3])
local is_known = ends and tonumber(ends) > now
if not is_known and redis.call('ZCOUNT', KEYS[2], string.format('(%.0f', now), '+inf') >= tonumber(ARGV[2]) then
  return 'values'
end
redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[1])
redis.call('ZADD', KEYS[2], now + ARGV[1], ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', last[2]))
return 'set'
