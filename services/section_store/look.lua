-- KEYS: the epoch's marker, slots. ARGV: a token, for how many ms it is good.
-- Without its marker an epoch is over for ever: false. A slot is empty, or holds an entry (e), the mark of a writer (m)
-- or the token of a reader who is filling it (t). An empty one gets the token, and T is answered.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return false
end
local time = redis.call('TIME')
local found = {time[1] * 1000 + math.floor(time[2] / 1000)}
for i = 2, #KEYS do
  local held = redis.call('GET', KEYS[i])
  if not held then
    local set = redis.pcall('SET', KEYS[i], 't' .. ARGV[1], 'PX', ARGV[2])
    held = set.err and 't' or 'T'
  end
  found[i] = held
end
return found
