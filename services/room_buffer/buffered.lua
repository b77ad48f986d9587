-- KEYS: buffer, pointer. ARGV: claims' prefix, how many of the newest entries.
local most = tonumber(ARGV[2])
local waiting = redis.call('LRANGE', KEYS[1], -most, -1)
local standing = redis.call('GET', KEYS[2])
if not standing or #waiting >= most then
  return waiting
end
local entries = redis.call('LRANGE', ARGV[1] .. standing, #waiting - most, -1)
for _, entry in ipairs(waiting) do
  entries[#entries + 1] = entry
end
return entries
