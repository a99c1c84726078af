#!lua flags=allow-oom
-- Writes to the segment of an earlier order, so that WAIT covers that order, too: WAIT covers only writes of its connection.
-- KEYS  segment hash, owners hash (owner -> number)
-- ARGV  fence, owner (as in claim.lua), the order's number
-- Reply {'OK'}              the order is the owner's
--       {'OTHER'}           the owner does not have this order, or not any more: nothing was done
--       {'FENCED', fence}   the segment has another fence, or none: nothing was done
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence ~= ARGV[1] then return { 'FENCED', fence } end
if redis.call('HGET', KEYS[2], ARGV[2]) ~= ARGV[3] then return { 'OTHER' } end
redis.call('HINCRBY', KEYS[1], 'confirms', 1)
return { 'OK' }
