#!lua flags=no-writes
-- Reads a page of the owners of a segment: customers who have an order, and of which unit (claim.lua).
-- KEYS  segment hash, owners hash (owner -> number)
-- ARGV  fence, HSCAN's cursor, about how many owners to return
-- Reply {'OK', the next cursor ('0': this was the last page), owner, ...}
--       {'FENCED', fence}   the segment has another fence, or none; or it has lost its owners (claim.lua)
local s = redis.call('HMGET', KEYS[1], 'fence', 'sold', 'unowned')
local lost = tonumber(s[2] or 0) > tonumber(s[3] or 0) and redis.pcall('HLEN', KEYS[2]) == 0
if s[1] ~= ARGV[1] or lost then return { 'FENCED', s[1] } end
local page = redis.call('HSCAN', KEYS[2], ARGV[2], 'COUNT', ARGV[3])
local reply = { 'OK', page[1] }
for i = 1, #page[2], 2 do reply[#reply + 1] = page[2][i] end
return reply
