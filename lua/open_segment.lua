#!lua
-- Creates a segment of a new coupon. Safe to repeat.
-- Fields of a segment: I and O, units received from the hub and sent back in all; t0 and t1, start and end of the sale in ms
-- Fields of the hub for segment i: Gi and Ri, units granted to it and taken back in all; Bi, the base that it was admitted with
-- KEYS  segment hash
-- ARGV  fence, start of the sale in ms, end in ms (0: none), units granted at the start, version and state (steer.lua; missing: open)
-- Reply {'OK', 1 when the segment was created, 0 when it existed}
--       {'FENCED', fence}   there is a segment of another generation
local function generation(fence) return string.match(fence, '^[^@!]*') end
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence then return generation(fence) == generation(ARGV[1]) and { 'OK', 0 } or { 'FENCED', fence } end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'left', ARGV[4], 'sold', 0, 'last', 0, 'base', 0, 'term', 0, 'version', ARGV[5] or 0,
  'state', ARGV[6] or 'open', 't0', ARGV[2], 't1', ARGV[3], 'I', ARGV[4], 'O', 0, 'epoch', 0, 'until', 0)
return { 'OK', 1 }
