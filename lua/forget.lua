#!lua flags=allow-oom
-- Takes a coupon out of a worklist if no order of it waits. Only for a server that has all slots: there no claim comes in
-- between. A customer's orders are looked for in the coupons of sk:dirty, so none with orders may be missing there, not even
-- for a moment.
-- KEYS  the worklist, the order list of segment 0, by which the lists of the others are named
-- ARGV  the coupon's member of the worklist, the number of its segments
-- Reply 1 when it was removed, else 0
for i = 0, ARGV[2] - 1 do
  local list = string.gsub(KEYS[2], ':0}', string.format(':%d}', i))
  if redis.call('LLEN', list) > 0 then return 0 end
end
return redis.call('SREM', KEYS[1], ARGV[1])
