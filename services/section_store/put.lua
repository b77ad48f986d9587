-- KEYS: slots. ARGV: ms to keep, then for each slot what it must hold and what to put there; nothing empties it.
local put = 0
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[2 * i] then
    put = put + 1
    local entry = ARGV[2 * i + 1]
    if entry == '' or redis.pcall('SET', KEYS[i], entry, 'PX', ARGV[1]).err then
      redis.call('DEL', KEYS[i])
    end
  end
end
return put
