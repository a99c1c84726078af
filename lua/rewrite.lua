#!lua flags=allow-oom
-- Writes a part of a closed slot anew. Once another recovery has taken over, or the slot is open, nothing is written.
-- KEYS  hub or segment hash, the key to write (of the same slot)
-- ARGV  the fence expected, a command (HSET, HSETNX, HDEL, DEL), its arguments after the key
-- Reply {'OK'}
--       {'FENCED', fence}   it is another one: nothing was done
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence ~= ARGV[1] then return { 'FENCED', fence } end
redis.call(ARGV[2], KEYS[2], unpack(ARGV, 3))
return { 'OK' }
