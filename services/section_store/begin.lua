-- KEYS: the marker of the epoch that ends, that of the one that begins.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], '1')
return 1
