#!lua flags=allow-oom
-- A segment that is being opened has its numbers: the hub has heard it.
-- KEYS  hub hash
-- ARGV  fence, segment, its new base, the term that it knows
-- Reply {'OK', segments that were not heard in this term, units at the hub}   below 0: more is sold than was put on sale
--       {'REPLACED'}         the hub knows a later base, or is in a later term: nothing was done
--       {'FENCED', fence}    it is another one here, or none: nothing was done
local i = tonumber(ARGV[2])
local h = redis.call('HMGET', KEYS[1], 'fence', 'B' .. i, 'term', 'heard', 'avail')
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
if h[2] ~= ARGV[3] or h[3] ~= ARGV[4] then return { 'REPLACED' } end
local heard = string.sub(h[4], 1, i) .. '1' .. string.sub(h[4], i + 2)
if heard ~= h[4] then redis.call('HSET', KEYS[1], 'heard', heard) end
local _, unheard = string.gsub(heard, '0', '')
return { 'OK', unheard, tonumber(h[5]) }
