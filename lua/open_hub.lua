#!lua
-- Creates the hub of a new coupon. Safe to repeat.
-- Fields of a segment: I and O, units received from the hub and sent back in all; t0 and t1, start and end of the sale in ms
-- Fields of the hub for segment i: Gi and Ri, units granted to it and taken back in all; Bi, the base that it was admitted with
-- KEYS  hub hash
-- ARGV  fence, amount, segments, units granted to every segment, how many of the first segments get one more; 1 where an order
--       that is not paid in time gives its unit back, else 0; 1 where customers may wait for units (join.lua), else 0;
--       start of the sale in ms, end in ms (0: none), version and state (steer.lua; missing: open)
-- Reply {'OK', 1 when the hub was created, 0 when it existed}
--       {'FENCED', fence}   there is a hub of another generation
local function generation(fence) return string.match(fence, '^[^@!]*') end
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence then return generation(fence) == generation(ARGV[1]) and { 'OK', 0 } or { 'FENCED', fence } end
local segments, each, extra = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
for i = 0, segments - 1 do
  local units = each
  if i < extra then units = units + 1 end
  redis.call('HSET', KEYS[1], 'G' .. i, units, 'R' .. i, 0, 'B' .. i, 0)
end
redis.call('HSET', KEYS[1], 'amount', ARGV[2], 'withdrawn', 0, 'cancelled', 0, 'final', 0, 'final_cancelled', 0,
  'pays', ARGV[6], 'pay_by', 0, 'segments', segments, 'avail', ARGV[2] - each * segments - extra, 'term', 0,
  'heard', string.rep('1', segments), 'empty', string.rep('0', segments), 'sold_out', 0, 'epoch', 0, 't0', ARGV[8] or 0,
  't1', ARGV[9] or 0, 'version', ARGV[10] or 0, 'state', ARGV[11] or 'open')
if ARGV[7] == '1' then redis.call('HSET', KEYS[1], 'queue', 0, 'ticket', 0, 'waits', 1) end
redis.call('HSET', KEYS[1], 'fence', ARGV[1])
return { 'OK', 1 }
