-- What every script knows. queue.py puts it between a script's first line and the rest of it.
--
-- KEYS[1] is the tenant's prefix, with its hash tag: all keys begin with it, so that all are in
-- one slot of a cluster. Below it:
--   cases    hash: case -> JSON {version, rank, waiting_rank, waits, severity, policy, language,
--            categories, stuck, excluded {reviewer: true}, slots [{number, tier, by, token, until,
--            ruled}]}; times are milliseconds since 1970, `token` is a SHA-256
--   lanes    sorted set: the names of lanes, TIER:SEVERITY:POLICY:LANGUAGE:CATEGORIES, by the rank
--            of the first in each
--   lane:X   sorted set: CASE/SLOT by rank, those that anybody who may serve the lane can have
--   stuck    the same of stuck cases; these are had by name only
--   held     sorted set: CASE/SLOT by the end of its lease
--   callers  sorted set: CASE by the time until which its caller waits in line
--   did:X    the answer to a request, and gone:X the version of a removed case; both for a while

local at = KEYS[1]
local CASES, LANES, LANE, STUCK = at .. 'cases', at .. 'lanes', at .. 'lane:', at .. 'stuck'
local HELD, CALLERS, DID, GONE = at .. 'held', at .. 'callers', at .. 'did:', at .. 'gone:'
local KEPT_MS = 600000

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function read(id)
  local text = redis.call('HGET', CASES, id)
  return text and cjson.decode(text)
end

local function write(id, case)
  redis.call('HSET', CASES, id, cjson.encode(case))
end

local function member_of(id, slot)
  return id .. '/' .. slot.number
end

local function parts_of(member)
  local id, number = string.match(member, '^(.*)/(%d+)$')
  return id, tonumber(number)
end

local function slot_of(case, number)
  for _, slot in ipairs(case and case.slots or {}) do
    if slot.number == number then
      return slot
    end
  end
end

local function lane_of(case, slot)
  local parts = {slot.tier, case.severity, case.policy, case.language, case.categories}
  return table.concat(parts, ':')
end

local function free(slot)
  return not slot.ruled and not slot.token
end

-- To be called after each change to a lane.
local function note_first(lane)
  local first = redis.call('ZRANGE', LANE .. lane, 0, 0, 'WITHSCORES')
  if first[2] then
    redis.call('ZADD', LANES, first[2], lane)
  else
    redis.call('ZREM', LANES, lane)
  end
end

-- Put a slot where its state says.
local function place(id, case, slot)
  local member = member_of(id, slot)
  if slot.token then
    redis.call('ZADD', HELD, slot['until'], member)
  elseif free(slot) then
    local score = case.waits and case.waiting_rank or case.rank
    if case.stuck then
      redis.call('ZADD', STUCK, score, member)
    else
      local lane = lane_of(case, slot)
      redis.call('ZADD', LANE .. lane, score, member)
      note_first(lane)
    end
  end
end

-- Take a slot out of wherever it is.
local function take_out(id, case, slot)
  local member, lane = member_of(id, slot), lane_of(case, slot)
  redis.call('ZREM', HELD, member)
  redis.call('ZREM', STUCK, member)
  if redis.call('ZREM', LANE .. lane, member) == 1 then
    note_first(lane)
  end
end

-- Let go of a slot that somebody holds.
local function let_go(id, case, slot)
  take_out(id, case, slot)
  slot.by, slot.token, slot['until'] = nil, nil, nil
  place(id, case, slot)
end

-- The caller waits in line until then; nil: no longer.
local function wait_until(id, case, time)
  case.waits = time
  if time then
    redis.call('ZADD', CALLERS, time, id)
  else
    redis.call('ZREM', CALLERS, id)
  end
  for _, slot in ipairs(case.slots) do
    place(id, case, slot)
  end
end

-- A script that is run twice for one request has one effect and one answer.
local function answered(request)
  local text = redis.call('GET', DID .. request)
  return text and cjson.decode(text)
end

local function answer(request, with)
  redis.call('SET', DID .. request, cjson.encode(with), 'PX', KEPT_MS)
  return with
end
