#!lua flags=allow-oom
-- Rewrites a part of a quarantined slot, unless another recovery has taken over or the slot is open.
-- KEYS  hub or segment hash, the key to write (in the same slot)
-- ARGV  the fence expected, a command (HSET, HSETNX, HDEL, DEL), its arguments after the key
-- Reply {'OK'}
--       {'FENCED', fence}   the slot has another fence: nothing was done
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence ~= ARGV[1] then return { 'FENCED', fence } end
redis.call(ARGV[2], KEYS[2], unpack(ARGV, 3))
return { 'OK' }
