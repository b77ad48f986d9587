-- KEYS: a claim. ARGV: first position, how many entries at most, how many bytes are enough.
-- At least one entry, however large: a page of large ones would outlast the reader's patience for ever.
local entries, bytes = {}, 0
for position = tonumber(ARGV[1]), tonumber(ARGV[1]) + tonumber(ARGV[2]) - 1 do
  local entry = redis.call('LINDEX', KEYS[1], position)
  if not entry then
    break
  end
  entries[#entries + 1] = entry
  bytes = bytes + #entry
  if bytes >= tonumber(ARGV[3]) then
    break
  end
end
return entries
