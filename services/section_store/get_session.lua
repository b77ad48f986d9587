-- KEYS: the owner's sessions, the session's values, those that all share. ARGV: ms to keep, the session, fields.
-- What is used is kept: half of its time over, it gets all of it anew.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local names = {ARGV[2], ''}
for i = 2, #KEYS do
  local left = redis.call('PTTL', KEYS[i])
  if left > 0 and left < ARGV[1] / 2 then
    redis.call('PEXPIRE', KEYS[i], ARGV[1])
    redis.call('ZADD', KEYS[1], now + ARGV[1], names[i - 1])
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
  end
end
local found = {}
for i = 3, #ARGV do
  local value = false
  for k = 2, #KEYS do
    value = value or redis.call('HGET', KEYS[k], ARGV[i])
  end
  found[i - 2] = value
end
return found
