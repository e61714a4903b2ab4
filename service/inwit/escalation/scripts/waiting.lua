#!lua flags=allow-oom
-- ARGV: the request, the case's id, and the time in ms until which its caller waits in line.
local request, id, time = ARGV[1], ARGV[2], tonumber(ARGV[3])
local had = answered(request)
if had then
  return had
end
local case = read(id)
if not case then
  return answer(request, 0)
end
wait_until(id, case, time > now_ms() and time or nil)
write(id, case)
return answer(request, 1)
