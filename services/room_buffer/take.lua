-- Take the buffer as a claim whose name was never used before, whatever the caller asks for: a late copy of a call
-- that was answered long ago would otherwise give an old name to new messages, whose ids come from it.
-- DEL goes first because Redis never refuses it for want of memory, and lets a script finish that has begun to write.
local function take(buffer, pointer, wake, prefix, name)
  local time = redis.call('TIME')
  local fresh = name .. '.' .. time[1] .. '.' .. time[2]
  if redis.call('EXISTS', prefix .. fresh) == 1 then
    return redis.error_reply('CLAIMEXISTS')
  end
  redis.call('DEL', wake)
  redis.call('RENAME', buffer, prefix .. fresh)
  redis.call('SET', pointer, fresh)
  return {'claim', fresh, redis.call('LLEN', prefix .. fresh)}
end
