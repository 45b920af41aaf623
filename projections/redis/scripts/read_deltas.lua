-- A book's deltas after a book sequence. KEYS[1] names the live generation. ARGV: 1 prefix of the
-- shard's keys, 2 instrument, 3 sequence, 4 entries at most. Answers {position, sequence of the book,
-- entries}; {} where the shard has no books, {position} where it has not this one.
local generation = redis.call('GET', KEYS[1])
if not generation then return {} end
local base = ARGV[1] .. generation .. ':'
local position = redis.call('HGET', base .. 'position', 'position')
local key = base .. ARGV[2] .. ':'
local sequence = redis.call('HGET', key .. 'book', 'sequence')
if not sequence then return {position} end
local after = '(' .. ARGV[3] .. '-0'
return {position, sequence, redis.call('XRANGE', key .. 'deltas', after, '+', 'COUNT', ARGV[4])}
