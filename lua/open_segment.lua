#!lua
-- Makes a segment of a new coupon, once; a second call changes nothing.
-- KEYS  segment hash
-- ARGV  fence, sale starts at ms, ends at ms (0: never), units granted at the start
-- Reply {'OK', 1 when it was made, else 0}
--       {'FENCED', fence}   there is a segment of another generation
local function generation(fence) return string.match(fence, '^[^@!]*') end
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence then return generation(fence) == generation(ARGV[1]) and { 'OK', 0 } or { 'FENCED', fence } end
redis.call('HSET', KEYS[1], 'fence', ARGV[1], 'left', ARGV[4], 'sold', 0, 'last', 0, 'base', 0, 'term', 0, 'state', 'open',
  't0', ARGV[2], 't1', ARGV[3], 'I', ARGV[4], 'O', 0, 'epoch', 0, 'until', 0)
return { 'OK', 1 }
