-- Take tokens out of a bucket that all API processes share.
-- KEYS[1]: the bucket, a hash of tokens and when they were counted (µs). It is gone when it is full.
-- ARGV: tokens a second and of a full bucket, tokens wanted, tokens without which none are taken.
-- Returns {granted, remaining, microseconds until the least are there}.
local per_s, wanted, least = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local found = redis.call('HMGET', KEYS[1], 'tokens', 'at_us')
local tokens = per_s
if found[1] then
  local gained = math.max(0, now_us - tonumber(found[2])) * per_s / 1000000
  tokens = math.min(per_s, tonumber(found[1]) + gained)
end
local granted, wait_us = 0, 0
if tokens >= least then
  granted = math.min(wanted, math.floor(tokens))
  tokens = tokens - granted
else
  wait_us = math.ceil((least - tokens) * 1000000 / per_s)
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at_us', string.format('%d', now_us))
redis.call('PEXPIRE', KEYS[1], 2000)
return {granted, math.floor(tokens), wait_us}
