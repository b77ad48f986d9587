-- KEYS: the epoch's marker, slots. ARGV: the writer.
-- DEL before SET: a Redis that is full lets a script write that has begun to.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return false
end
local time = redis.call('TIME')
local mark = string.format('m%013d', time[1] * 1000 + math.floor(time[2] / 1000)) .. ARGV[1]
for i = 2, #KEYS do
  redis.call('DEL', KEYS[i])
  redis.call('SET', KEYS[i], mark)
end
return mark
