-- KEYS: buffer, pointer, wake mark, the claim. ARGV: claims' prefix, the claim's name, the next name.
redis.call('UNLINK', KEYS[4])
local standing = redis.call('GET', KEYS[2])
if standing == ARGV[2] then
  redis.call('DEL', KEYS[2])
  standing = false
end

if standing then
  return {'claim', standing, redis.call('LLEN', ARGV[1] .. standing)}
end
if redis.call('LLEN', KEYS[1]) > 0 then
  return take(KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[3])
end
redis.call('DEL', KEYS[3])
return {'empty'}
