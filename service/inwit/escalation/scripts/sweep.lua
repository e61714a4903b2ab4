#!lua flags=allow-oom
-- ARGV: the request, and how many at most. Leases that are over, then callers who wait no longer.
-- The answer: rows of case, slot and reviewer; of a caller the slot is -1.
local request, most = ARGV[1], tonumber(ARGV[2])
local had = answered(request)
if had then
  return had
end
local now, swept = now_ms(), {}

local function over(key)
  return redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, most - #swept)
end

for _, member in ipairs(over(HELD)) do
  local id, number = parts_of(member)
  local case = read(id)
  local slot = slot_of(case, number)
  if not slot or not slot.token then
    redis.call('ZREM', HELD, member) -- there by mistake
  elseif slot['until'] <= now then
    table.insert(swept, {id, number, slot.by})
    let_go(id, case, slot)
    write(id, case)
  else
    place(id, case, slot)
  end
end
for _, id in ipairs(over(CALLERS)) do
  local case = read(id)
  redis.call('ZREM', CALLERS, id)
  if case then
    table.insert(swept, {id, -1, ''})
    wait_until(id, case, nil)
    write(id, case)
  end
end
return answer(request, swept)
