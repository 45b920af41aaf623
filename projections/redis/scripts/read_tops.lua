-- The best level of each side of several books, all of one instant. KEYS[1] names the live generation.
-- ARGV: 1 prefix of the shard's keys, then instruments. Answers {position, {sequence, state, last
-- trade, bid price, bid level, ask price, ask level} or {} for each}; {} where the shard has no books.
local generation = redis.call('GET', KEYS[1])
if not generation then return {} end
local base = ARGV[1] .. generation .. ':'

local function best(side, command)
  local price = redis.call(command, side .. ':prices', 0, 0)[1]
  if not price then return false, false end
  return price, redis.call('HGET', side .. ':levels', price)
end

local tops = {}
for at = 2, #ARGV do
  local key = base .. ARGV[at] .. ':'
  local fields = redis.call('HMGET', key .. 'book', 'sequence', 'state', 'last_trade')
  if fields[1] then
    local bid_price, bid = best(key .. 'bids', 'ZREVRANGE')
    local ask_price, ask = best(key .. 'asks', 'ZRANGE')
    tops[at - 1] = {fields[1], fields[2], fields[3], bid_price, bid, ask_price, ask}
  else
    tops[at - 1] = {}
  end
end
return {redis.call('HGET', base .. 'position', 'position'), tops}
