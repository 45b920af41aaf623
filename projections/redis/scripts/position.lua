-- Where a generation stands. KEYS[1] names the live generation. ARGV: 1 prefix of the shard's keys,
-- 2 generation, '' for the live one. Answers {generation, position, chain}, false where nothing is.
local generation = ARGV[2] ~= '' and ARGV[2] or redis.call('GET', KEYS[1])
if not generation then return {} end
local stored = redis.call('HMGET', ARGV[1] .. generation .. ':position', 'position', 'chain')
return {generation, stored[1], stored[2]}
