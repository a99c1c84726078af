#!lua flags=allow-oom
-- Notes at the hub that a segment which is about to be opened has reported in this term.
-- Fields of a segment: I and O, units received from the hub and sent back in all; t0 and t1, start and end of the sale in ms
-- Fields of the hub for segment i: Gi and Ri, units granted to it and taken back in all; Bi, the base that it was admitted with
-- KEYS  hub hash
-- ARGV  fence, segment, its new base, the hub's term that it has
-- Reply {'OK', segments that have not reported in this term, units at the hub (below 0: more is sold than was put on sale)}
--       {'REPLACED'}         the hub has admitted a later base, or has a later term: nothing was done
--       {'FENCED', fence}    the hub has another fence, or none: nothing was done
local i = tonumber(ARGV[2])
local h = redis.call('HMGET', KEYS[1], 'fence', 'B' .. i, 'term', 'heard', 'avail')
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
if h[2] ~= ARGV[3] or h[3] ~= ARGV[4] then return { 'REPLACED' } end
local heard = string.sub(h[4], 1, i) .. '1' .. string.sub(h[4], i + 2)
if heard ~= h[4] then redis.call('HSET', KEYS[1], 'heard', heard) end
local _, unheard = string.gsub(heard, '0', '')
return { 'OK', unheard, tonumber(h[5]) }
