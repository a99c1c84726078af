#!lua flags=allow-oom
-- Enters an order in its customer's list, and returns the other orders of the same coupon on that list: a server may have
-- lost them.
-- KEYS  the customer's list
-- ARGV  ms of the claim, the order, the beginning that the numbers of all orders of its coupon have
-- Reply {order, ...}   the other orders of the coupon, among the customer's newest 200
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
local others = {}
for _, order in ipairs(redis.call('ZRANGE', KEYS[1], -200, -1)) do
  if order ~= ARGV[2] and string.sub(order, 1, #ARGV[3]) == ARGV[3] then others[#others + 1] = order end
end
return others
