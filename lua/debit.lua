#!lua flags=allow-oom
-- Takes all units from a segment, to return them to the hub, or only reads the numbers of the segment.
-- Fields of a segment: I and O, units received from the hub and sent back in all; t0 and t1, start and end of the sale in ms
-- Fields of the hub for segment i: Gi and Ri, units granted to it and taken back in all; Bi, the base that it was admitted with
-- KEYS  segment hash
-- ARGV  fence, 1 to take all units or 0 to read only, the hub's term ('': the segment keeps the term that it has)
-- Reply {'OK', left, received, sent, base, term}    after the return
--       {'FENCED', fence}               the segment has another fence, or none: nothing was done
local s = redis.call('HMGET', KEYS[1], 'fence', 'left', 'I', 'O', 'base', 'term')
if s[1] ~= ARGV[1] then return { 'FENCED', s[1] } end
-- a missing field is an error here, before anything is written
local left, received, sent, base, term = s[2] + 0, s[3] + 0, s[4] + 0, s[5] + 0, s[6] + 0
if ARGV[2] == '1' and left > 0 then
  local units = left
  left = 0
  sent = sent + units
  redis.call('HSET', KEYS[1], 'left', left, 'O', sent)
end
if (tonumber(ARGV[3]) or 0) > term then
  term = tonumber(ARGV[3])
  redis.call('HSET', KEYS[1], 'term', term)
end
return { 'OK', left, received, sent, base, term }
