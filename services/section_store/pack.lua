-- KEYS: what holds an entry. ARGV: its field, or nothing where it stands alone; what it must hold, what to put there.
-- It is kept for as long as before. Deleted first: a Redis that is full lets a script write that has begun to.
local is_alone = ARGV[1] == ''
local held = is_alone and redis.call('GET', KEYS[1]) or not is_alone and redis.call('HGET', KEYS[1], ARGV[1])
if held ~= ARGV[2] then
  return 0
end
local left = redis.call('PTTL', KEYS[1])
if is_alone then
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[1], ARGV[3])
else
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
if left > 0 then
  redis.call('PEXPIRE', KEYS[1], left)
end
return 1
