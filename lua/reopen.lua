#!lua flags=allow-oom
-- Opens a segment under a new base, after mend.lua has completed it and the hub has admitted it. Numbers that a host has
-- acknowledged and that nobody has found are entered as lost: each becomes a record without a user, and takes one unit; once
-- the units run out, the rest get no record. A sold-out flag from before is void from now on. The segment may have lost a later
-- state or window of the sale: it gets the highest version that the inspection has found (steer.lua).
-- KEYS  segment hash, order list, owners hash
-- ARGV  fence; the base with which mend.lua completed the segment; the new fence; the first and the last number that are lost
--       ('' and '': none); 1 where people wait for units: those that are left here are sent back to the hub;
--       version, state, start and end of the sale (missing: as they are)
-- Reply {'OK', numbers that were entered as lost}
--       {'OTHER'}            the segment has changed since, or has given out a number above this base: nothing was done
local segment, list, base = KEYS[1], KEYS[2], ARGV[2]
local s = redis.call('HMGET', segment, 'fence', 'next', 'left', 'sold', 'last', 'O', 'version')
if s[1] ~= ARGV[1] or s[2] ~= base then return { 'OTHER' } end
if math.max(tonumber(s[5]), tonumber(ARGV[5]) or 0) > tonumber(base) then return { 'OTHER' } end
local left, sold, named = tonumber(s[3]), tonumber(s[4]), 0
if ARGV[4] ~= '' then
  local time = redis.call('TIME')
  local ms = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
  for number = math.max(tonumber(ARGV[4]), s[5] + 1), tonumber(ARGV[5]) do
    if left == named then break end
    redis.call('RPUSH', list, string.format('%d|?|%s', number, ms))
    named = named + 1
  end
end
local sent = ARGV[6] == '1' and left - named or 0
redis.call('HSET', segment, 'left', left - named - sent, 'O', string.format('%d', s[6] + sent), 'sold', sold + named,
  'base', base, 'last', base, 'until', 0, 'fence', ARGV[3])
redis.call('HDEL', segment, 'next')
if ARGV[7] and tonumber(ARGV[7]) > (tonumber(s[7]) or 0) then
  redis.call('HSET', segment, 'version', ARGV[7], 'state', ARGV[8], 't0', ARGV[9], 't1', ARGV[10])
end
local owners = redis.pcall('HLEN', KEYS[3])
if tonumber(owners) then redis.call('HSET', segment, 'unowned', sold + named - owners) end -- see claim.lua
return { 'OK', named }
