#!lua flags=allow-oom
-- Carries the hub's word to a segment: sold out until a moment, or open again.
-- KEYS  segment hash
-- ARGV  fence, epoch, until in ms (0: open again)
-- Reply {'OK', 1 or 0}   whether the segment took it: an older epoch is refused, and so is "sold out" where stock is left
--       {'FENCED', fence} it is another one here, or none: nothing was done
local s = redis.call('HMGET', KEYS[1], 'fence', 'left', 'epoch', 'until')
if s[1] ~= ARGV[1] then return { 'FENCED', s[1] } end
local epoch, moment = tonumber(ARGV[2]), tonumber(ARGV[3])
local known, took = tonumber(s[3]), false
if moment == 0 then
  took = epoch > known
else
  took = epoch >= known and tonumber(s[2]) == 0
  moment = math.max(moment, tonumber(s[4]))
end
if took then redis.call('HSET', KEYS[1], 'epoch', epoch, 'until', moment) end
return { 'OK', took and 1 or 0 }
