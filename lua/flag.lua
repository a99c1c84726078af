#!lua flags=allow-oom
-- Sets the sold-out flag of a segment until a moment, or clears it. The moment is by the clock of the hub's server, which
-- may be a quarter of a second ahead of the clock here. No flag lasts longer than a second by the clock here: one that would
-- was set before TIME was set back, and is void (in claim.lua, too).
-- KEYS  segment hash
-- ARGV  fence, epoch of the hub, until in ms (0: clear the flag), when a unit may come back in ms (0: unknown; '': none may)
-- Reply {'OK', 1 or 0}   1: done; 0: the epoch is older than the segment's, or units are left and no flag was set
--       {'FENCED', fence} the segment has another fence, or none: nothing was done
local s = redis.call('HMGET', KEYS[1], 'fence', 'left', 'epoch', 'until', 'held')
if s[1] ~= ARGV[1] then return { 'FENCED', s[1] } end
local epoch, moment = tonumber(ARGV[2]), tonumber(ARGV[3])
local known, took, held = tonumber(s[3]), false, ARGV[4]
if moment == 0 then
  took = epoch > known
else
  took = epoch >= known and tonumber(s[2]) == 0
  local time, flag_until = redis.call('TIME'), tonumber(s[4])
  local last = time[1] * 1000 + math.floor(time[2] / 1000) + 1000
  if moment > last + 250 then moment = 0 end
  moment = math.min(moment, last)
  if flag_until <= last and flag_until > moment then moment, held = flag_until, s[5] or '' end
end
if took then redis.call('HSET', KEYS[1], 'epoch', epoch, 'until', moment, 'held', held) end
return { 'OK', took and 1 or 0 }
