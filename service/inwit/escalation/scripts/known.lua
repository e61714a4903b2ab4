#!lua flags=no-writes
-- ARGV: a cursor, and about how many. The answer: the next cursor, then by case its id and version.
-- The version is 0 where a slot is not in its place: then the case must be put again.
local function in_place(id, case, slot)
  local member = member_of(id, slot)
  if slot.token then
    return redis.call('ZSCORE', HELD, member)
  elseif slot.ruled then
    return true
  elseif case.stuck then
    return redis.call('ZSCORE', STUCK, member)
  end
  local lane = lane_of(case, slot)
  local rank, first = redis.call('ZSCORE', LANE .. lane, member), redis.call('ZSCORE', LANES, lane)
  return rank and first and tonumber(first) <= tonumber(rank)
end

local page = redis.call('HSCAN', CASES, ARGV[1], 'COUNT', ARGV[2])
local known = {page[1]}
for i = 1, #page[2], 2 do
  local id, case = page[2][i], cjson.decode(page[2][i + 1])
  local version = case.version
  for _, slot in ipairs(case.slots) do
    if not in_place(id, case, slot) then
      version = 0
    end
  end
  table.insert(known, {id, version})
end
return known
