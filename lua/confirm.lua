#!lua flags=allow-oom
-- Writes once more for an order from before: WAIT confirms writes, and this one comes after that of the order.
-- KEYS  segment hash, owners hash (user -> number)
-- ARGV  fence, user, the order's number
-- Reply {'OK'}              the order is the user's
--       {'OTHER'}           it is not, or not any more: nothing was done
--       {'FENCED', fence}   it is another one here, or none: nothing was done
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence ~= ARGV[1] then return { 'FENCED', fence } end
if redis.call('HGET', KEYS[2], ARGV[2]) ~= ARGV[3] then return { 'OTHER' } end
redis.call('HINCRBY', KEYS[1], 'confirms', 1)
return { 'OK' }
