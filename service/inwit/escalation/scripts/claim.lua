#!lua
-- ARGV: the request, as JSON who asks: {reviewer, tiers, worst, policies, languages, opted_out,
-- token, lease_ms, look}, and the id of a case, or nothing for the next one. `look` only tells.
-- The answer: CASE/SLOT and its rank, or nothing. A rank of -inf: this request has it already.
local request, asked, wanted = ARGV[1], cjson.decode(ARGV[2]), ARGV[3]
local had = answered(request)
if had then
  return {had, '-inf'}
end

local function set(names)
  local found = {}
  for _, name in ipairs(names) do
    found[name] = true
  end
  return next(names) ~= nil and found or nil -- nothing named: all of them
end

local tiers, opted_out = set(asked.tiers) or {}, set(asked.opted_out) or {}
local policies, languages = set(asked.policies), set(asked.languages)

local function serves(lane)
  local tier, severity, policy, language, categories =
    string.match(lane, '^(%d+):(%d+):([^:]*):([^:]*):(.*)$')
  if not tiers[tonumber(tier)] or tonumber(severity) > asked.worst then
    return false
  end
  if (policies and not policies[policy]) or (languages and not languages[language]) then
    return false
  end
  for category in string.gmatch(categories, '[^+]+') do
    if opted_out[category] then
      return false
    end
  end
  return true
end

-- One person has one slot of a case, ever; and none where they are excluded.
local function welcome(case)
  for _, slot in ipairs(case.slots) do
    if slot.by == asked.reviewer then
      return false
    end
  end
  return not case.excluded[asked.reviewer]
end

local strays = {}

-- The first of a lane that they may have, if it is before `best`. What it goes past are cases that
-- they have had, and those that are in the lane by mistake.
local function first_of(lane, best)
  local from, page = 0, nil
  repeat
    page = redis.call('ZRANGE', LANE .. lane, from, from + 15, 'WITHSCORES')
    for i = 1, #page, 2 do
      local member, score = page[i], tonumber(page[i + 1])
      if best and score >= best.score then
        return best
      end
      local id, number = parts_of(member)
      local case = read(id)
      local slot = slot_of(case, number)
      if not slot or not free(slot) or case.stuck or lane_of(case, slot) ~= lane then
        table.insert(strays, {lane, member})
      elseif welcome(case) then
        return {id = id, case = case, slot = slot, score = score}
      end
    end
    from = from + 16
  until #page == 0
  return best
end

-- Lanes come by the rank of their first, so that most are never looked into.
local function next_one()
  local from, page, best = 0, nil, nil
  repeat
    page = redis.call('ZRANGE', LANES, from, from + 15, 'WITHSCORES')
    for i = 1, #page, 2 do
      if best and tonumber(page[i + 1]) >= best.score then
        return best
      elseif serves(page[i]) then
        best = first_of(page[i], best)
      end
    end
    from = from + 16
  until #page == 0
  return best
end

local function named(id)
  local case = read(id)
  if case and welcome(case) then
    for _, slot in ipairs(case.slots) do
      if free(slot) and serves(lane_of(case, slot)) then
        return {id = id, case = case, slot = slot, score = case.rank}
      end
    end
  end
end

local found
if wanted == '' then
  found = next_one()
else
  found = named(wanted)
end
for _, stray in ipairs(asked.look and {} or strays) do
  redis.call('ZREM', LANE .. stray[1], stray[2])
  note_first(stray[1])
end
if not found then
  return {}
end
local id, case, slot = found.id, found.case, found.slot
local member = member_of(id, slot)
if not asked.look then
  take_out(id, case, slot)
  slot.by, slot.token, slot['until'] = asked.reviewer, asked.token, now_ms() + asked.lease_ms
  place(id, case, slot)
  write(id, case)
  answer(request, member)
end
return {member, string.format('%.17g', found.score)}
