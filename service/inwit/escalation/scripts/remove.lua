#!lua flags=allow-oom
-- ARGV: the case's id, and the version with which it was closed. An older one is ignored.
local id, version = ARGV[1], tonumber(ARGV[2])
local case = read(id)
if case and case.version > version then
  return 0
end
for _, slot in ipairs(case and case.slots or {}) do
  take_out(id, case, slot)
end
redis.call('ZREM', CALLERS, id)
redis.call('HDEL', CASES, id)
local gone = tonumber(redis.call('GET', GONE .. id)) or 0
redis.call('SET', GONE .. id, string.format('%.0f', math.max(gone, version)), 'PX', KEPT_MS)
return 1
