#!lua flags=allow-oom
-- Carries the hub's word to a segment: sold out until a moment, or open again. The moment is by the clock of the hub's
-- server, which may be a quarter of a second ahead of this one. No lease is longer than a second by the clock here: where
-- TIME went back, one from before is void (also in claim.lua).
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
  local time, lease = redis.call('TIME'), tonumber(s[4])
  local last = time[1] * 1000 + math.floor(time[2] / 1000) + 1000
  if moment > last + 250 then moment = 0 end
  moment = math.max(math.min(moment, last), lease <= last and lease or 0)
end
if took then redis.call('HSET', KEYS[1], 'epoch', epoch, 'until', moment) end
return { 'OK', took and 1 or 0 }
