#!lua flags=no-writes
-- A page of those who have an order of a segment.
-- KEYS  segment hash, owners hash (user -> number)
-- ARGV  fence, HSCAN's cursor, about how many
-- Reply {'OK', the next cursor ('0': this was the last page), user, ...}
--       {'FENCED', fence}   it is another one here, or none
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence ~= ARGV[1] then return { 'FENCED', fence } end
local page = redis.call('HSCAN', KEYS[2], ARGV[2], 'COUNT', ARGV[3])
local reply = { 'OK', page[1] }
for i = 1, #page[2], 2 do reply[#reply + 1] = page[2][i] end
return reply
