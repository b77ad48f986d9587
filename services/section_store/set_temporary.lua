-- KEYS: the value, the owner's list of them. ARGV: ms to keep, most values, the name, entry.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if not redis.call('ZSCORE', KEYS[2], ARGV[3]) and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[2]) then
  return 'values'
end
redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[1])
redis.call('ZADD', KEYS[2], now + ARGV[1], ARGV[3])
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', last[2]))
return 'set'
