-- Moves one shard's books on by a group of batches: all of it, or nothing.
-- KEYS[1] names the shard's live generation. ARGV: 1 prefix of the shard's keys, 2 generation,
-- 3 'live', or 'fresh' for one that is being built, 4 position and 5 chain before, 6 position and
-- 7 chain after, 8 entries kept of a delta stream, 9 the blob of projections/redis/fold.py.
-- Answers {'ok', generation}, {'conflict'}, or {'damaged', instrument, sequence found}.
local prefix, generation, deltas_max = ARGV[1], ARGV[2], ARGV[8]
local live = redis.call('GET', KEYS[1]) or ''
local first = false

if ARGV[3] == 'fresh' then
  if redis.call('SISMEMBER', prefix .. 'generations', generation) == 0 then return {'conflict'} end
elseif live ~= generation then
  return {'conflict'}
elseif generation == '' then
  if ARGV[4] ~= '0' then return {'conflict'} end
  generation = string.format('%d', redis.call('INCR', prefix .. 'generation_number'))
  redis.call('SADD', prefix .. 'generations', generation)
  redis.call('SET', KEYS[1], generation)
  first = true
end

local base = prefix .. generation .. ':'
local stored = redis.call('HMGET', base .. 'position', 'position', 'chain')
if (stored[1] or '0') ~= ARGV[4] or (stored[1] and stored[2] ~= ARGV[5]) then
  return {'conflict'}
end

local books = cmsgpack.unpack(ARGV[9])
if not first then
  for _, book in ipairs(books) do
    local sequence = redis.call('HGET', base .. book[1] .. ':book', 'sequence') or '0'
    if sequence ~= book[2] then
      if ARGV[3] == 'live' then redis.call('DEL', KEYS[1]) end
      return {'damaged', book[1], sequence}
    end
  end
end

-- Lua passes no more than about 8,000 arguments at once.
local function call(command, key, items)
  local sum = 0
  for from = 1, #items, 4000 do
    sum = sum + redis.call(command, key, unpack(items, from, math.min(from + 3999, #items)))
  end
  return sum
end

local function set_levels(side, there, gone)
  if #there > 0 and call('HSET', side .. ':levels', there) > 0 then
    local prices = {}
    for at = 1, #there, 2 do
      prices[at], prices[at + 1] = there[at], there[at]
    end
    call('ZADD', side .. ':prices', prices)
  end
  if #gone > 0 and call('HDEL', side .. ':levels', gone) > 0 then
    call('ZREM', side .. ':prices', gone)
  end
end

for _, book in ipairs(books) do
  local key = base .. book[1] .. ':'
  if book[2] == '0' then redis.call('SADD', base .. 'instruments', book[1]) end
  redis.call('HSET', key .. 'book', unpack(book[4]))
  set_levels(key .. 'bids', book[5], book[6])
  set_levels(key .. 'asks', book[7], book[8])
  redis.call('XADD', key .. 'deltas', 'MAXLEN', '~', deltas_max, book[3] .. '-0', 'delta', book[9])
end
redis.call('HSET', base .. 'position', 'position', ARGV[6], 'chain', ARGV[7])
return {'ok', generation}
