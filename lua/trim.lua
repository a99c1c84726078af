#!lua flags=allow-oom
-- Drops orders from the head of a segment's list that MySQL has committed. Safe to repeat, and late.
-- KEYS  order list
-- ARGV  highest committed sequence
-- Reply the number of orders dropped; -1 when the head is not an order
local head = redis.call('LINDEX', KEYS[1], 0)
if not head then return 0 end
local first = string.match(head, '^(%d+)|')
if not first then return -1 end
local count = tonumber(ARGV[1]) - tonumber(first) + 1
if count <= 0 then return 0 end
redis.call('LTRIM', KEYS[1], count, -1)
return count
