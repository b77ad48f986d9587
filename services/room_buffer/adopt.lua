-- KEYS: pointer, claim. ARGV: the claim's name.
-- No script of ours leaves a claim that no pointer names; a deleted pointer does, and the claim must not stay for ever.
if redis.call('EXISTS', KEYS[1]) == 0 and redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[1], ARGV[1])
end
return 1
