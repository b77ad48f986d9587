-- KEYS: a buffer that is no room's. ARGV: the mark and name that must stand at its head; their number follows there.
local head = redis.call('LINDEX', KEYS[1], 0)
if not head or string.sub(head, 1, #ARGV[1]) ~= ARGV[1] then
  return 0
end
redis.call('LTRIM', KEYS[1], tonumber(string.sub(head, #ARGV[1] + 1)) + 1, -1)
return 1
