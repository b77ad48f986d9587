-- KEYS: buffer, pointer, wake mark. ARGV: claims' prefix, name, quiet, waited and longest wait in ms, batch size.
-- The wake mark goes in the same step as the answer: cleared in a call of its own it would strand the room.
local standing = redis.call('GET', KEYS[2])
if standing then
  return {'claim', standing, redis.call('LLEN', ARGV[1] .. standing)}
end

local length = redis.call('LLEN', KEYS[1])
if length == 0 then
  redis.call('DEL', KEYS[3])
  return {'empty'}
end

local time_left = tonumber(ARGV[5]) - tonumber(ARGV[4])
local last_append = tonumber(redis.call('GET', KEYS[3]) or '')
if length < tonumber(ARGV[6]) and time_left > 0 and last_append then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local until_quiet = tonumber(ARGV[3]) - math.max(0, now - last_append)
  if until_quiet > 0 then
    return {'wait', math.min(until_quiet, time_left)}
  end
end
return take(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2])
