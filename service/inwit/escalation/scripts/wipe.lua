#!lua flags=allow-oom
-- Everything but the answers and what is gone, which go by themselves.
for _, lane in ipairs(redis.call('ZRANGE', LANES, 0, -1)) do
  redis.call('UNLINK', LANE .. lane)
end
return redis.call('UNLINK', CASES, LANES, STUCK, HELD, CALLERS)
