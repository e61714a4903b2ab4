#!lua flags=allow-oom
-- ARGV: the request, the case's id, the slot, the token's SHA-256, and who shall never have a slot
-- of this case again, or nothing.
local request, id, number, token, excluded = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local had = answered(request)
if had then
  return had
end
local case = read(id)
local slot = slot_of(case, number)
if not slot or slot.token ~= token then
  return answer(request, 0)
end
let_go(id, case, slot)
if excluded ~= '' then
  case.excluded[excluded] = true
end
write(id, case)
return answer(request, 1)
