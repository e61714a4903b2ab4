#!lua
-- ARGV: the case's id, and the case as JSON. Nothing happens where a later version is known.
-- A later version than the known one is taken as it is. The same one adds what was lost, and
-- undoes nothing that happened in the queue meanwhile: a lease that it does not know stays.
local id, case = ARGV[1], cjson.decode(ARGV[2])
local known, gone = read(id), tonumber(redis.call('GET', GONE .. id))
if (gone and gone >= case.version) or (known and known.version > case.version) then
  return 0
end

local now = now_ms()

local function keep_lease(slot, had)
  if slot.ruled or not had or not had.token then
    return
  end
  if not slot.token or slot['until'] <= now then
    slot.by, slot.token, slot['until'] = had.by, had.token, had['until']
  elseif slot.token == had.token then
    slot['until'] = math.max(slot['until'], had['until'])
  end
end

if known and known.version == case.version then
  for reviewer in pairs(known.excluded) do
    case.excluded[reviewer] = true
  end
  if known.waits then
    case.waits = math.max(known.waits, case.waits or 0)
  end
  for _, slot in ipairs(case.slots) do
    keep_lease(slot, slot_of(known, slot.number))
  end
end
for _, slot in ipairs(known and known.slots or {}) do
  take_out(id, known, slot)
end
-- A lease that is over is held until the sweep, which says so; a caller who is gone is no news.
local waits = case.waits and case.waits > now and case.waits or nil
wait_until(id, case, waits)
write(id, case)
redis.call('DEL', GONE .. id)
return 1
