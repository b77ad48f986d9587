-- KEYS: a list. ARGV: for each entry its position, the SHA-1 of what stands there, and what is to stand there instead.
-- Positions stay, for ids come from them; what is no longer where it was read is left for the next look.
-- LTRIM goes first because Redis never refuses it for want of memory, and lets a script finish that has begun to write.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('LTRIM', KEYS[1], 0, -1)
local erased = 0
for argument = 1, #ARGV, 3 do
  local position = tonumber(ARGV[argument])
  local entry = redis.call('LINDEX', KEYS[1], position)
  if entry and redis.sha1hex(entry) == ARGV[argument + 1] then
    redis.call('LSET', KEYS[1], position, ARGV[argument + 2])
    erased = erased + 1
  end
end
return erased
