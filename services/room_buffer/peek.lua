-- KEYS: buffer, pointer. ARGV: claims' prefix.
local standing = redis.call('GET', KEYS[2])
local claimed = standing and redis.call('LLEN', ARGV[1] .. standing) or 0
return {redis.call('LLEN', KEYS[1]), claimed, standing}
