-- Makes a generation the live one. KEYS[1] names the live generation. ARGV: 1 prefix of the shard's
-- keys, 2 generation, 3 '1' to flip even where the live one is further. Answers 'ok', 'behind', or
-- 'lost' where another rebuild, or a flush, took the generation away.
local prefix, generation = ARGV[1], ARGV[2]
if redis.call('SISMEMBER', prefix .. 'generations', generation) == 0 then return 'lost' end
local live = redis.call('GET', KEYS[1])
if live and ARGV[3] ~= '1' then
  local served = tonumber(redis.call('HGET', prefix .. live .. ':position', 'position') or '0')
  local built = tonumber(redis.call('HGET', prefix .. generation .. ':position', 'position') or '0')
  if built < served then return 'behind' end
end
redis.call('SET', KEYS[1], generation)
return 'ok'
