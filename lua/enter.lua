#!lua flags=allow-oom
-- Enters an order in its customer's list, and looks for older orders of the same coupon there: a server may have lost them.
-- KEYS  the customer's list
-- ARGV  ms of the claim, the order, the beginning that orders of its coupon have
-- Reply {order, ...}   among the newest 200, other ones of that coupon
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
local others = {}
for _, order in ipairs(redis.call('ZRANGE', KEYS[1], -200, -1)) do
  if order ~= ARGV[2] and string.sub(order, 1, #ARGV[3]) == ARGV[3] then others[#others + 1] = order end
end
return others
