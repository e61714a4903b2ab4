#!lua flags=no-writes
-- The answer: cases, slots that are held, slots that are stuck, then by lane its name, how many
-- slots it has, and the rank of its first.
local depths = {
  redis.call('HLEN', CASES), redis.call('ZCARD', HELD), redis.call('ZCARD', STUCK),
}
local lanes = redis.call('ZRANGE', LANES, 0, -1, 'WITHSCORES')
for i = 1, #lanes, 2 do
  table.insert(depths, {lanes[i], redis.call('ZCARD', LANE .. lanes[i]), lanes[i + 1]})
end
return depths
