-- KEYS: that the session was warmed, what was read of the owner's. ARGV: seconds until it is warmed again, how many.
-- False where the session was warmed already.
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then
  return false
end
return redis.call('ZREVRANGE', KEYS[2], 0, ARGV[2] - 1)
