#!lua flags=allow-oom
-- ARGV: the request, the case's id, the slot, the token's SHA-256, and the new length in ms.
local request, id, number, token, lease_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local had = answered(request)
if had then
  return had
end
local case, now = read(id), now_ms()
local slot = slot_of(case, number)
if not slot or slot.token ~= token or slot['until'] <= now then
  return answer(request, 0)
end
slot['until'] = now + lease_ms
place(id, case, slot)
write(id, case)
return answer(request, 1)
