-- KEYS: a buffer that is no room's. ARGV: mark, name, how many entries at most.
-- The first entries are taken by a mark at the head with a name never used before and their number: a producer that
-- appends meanwhile changes neither, and who takes again gets the same. LTRIM goes first as Redis never refuses it.
local head = redis.call('LINDEX', KEYS[1], 0)
if not head then
  return {'', 0, {}}
end

local name, count
if string.sub(head, 1, #ARGV[1]) == ARGV[1] then
  name, count = string.match(string.sub(head, #ARGV[1] + 1), '^([%w_.-]+):(%d+)$')
end
if not name then
  local time = redis.call('TIME')
  name = ARGV[2] .. '.' .. time[1] .. '.' .. time[2]
  count = math.min(tonumber(ARGV[3]), redis.call('LLEN', KEYS[1]))
  redis.call('LTRIM', KEYS[1], 0, -1)
  redis.call('LPUSH', KEYS[1], ARGV[1] .. name .. ':' .. count)
end
return {name, tonumber(count), redis.call('LRANGE', KEYS[1], 1, tonumber(count))}
