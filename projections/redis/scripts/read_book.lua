-- One book, all of one instant. KEYS[1] names the live generation. ARGV: 1 prefix of the shard's
-- keys, 2 instrument, 3 levels of each side (0: all). Answers {position, sequence, state, last trade,
-- bid prices, bid levels, ask prices, ask levels}; {} where the shard has no books, {position} where
-- it has not this one.
local generation = redis.call('GET', KEYS[1])
if not generation then return {} end
local base = ARGV[1] .. generation .. ':'
local position = redis.call('HGET', base .. 'position', 'position')
local key = base .. ARGV[2] .. ':'
local fields = redis.call('HMGET', key .. 'book', 'sequence', 'state', 'last_trade')
if not fields[1] then return {position} end
local last = tonumber(ARGV[3]) - 1

local function side(name, command)
  local prices = redis.call(command, key .. name .. ':prices', 0, last)
  local levels = {}
  for from = 1, #prices, 4000 do
    local to = math.min(from + 3999, #prices)
    local found = redis.call('HMGET', key .. name .. ':levels', unpack(prices, from, to))
    for at = 1, #found do levels[from + at - 1] = found[at] end
  end
  return prices, levels
end

local bid_prices, bids = side('bids', 'ZREVRANGE')
local ask_prices, asks = side('asks', 'ZRANGE')
return {position, fields[1], fields[2], fields[3], bid_prices, bids, ask_prices, asks}
