#!lua
-- Makes a segment of a new coupon, once; a second call changes nothing.
-- KEYS  segment hash
-- ARGV  generation, sale starts at ms, ends at ms (0: never), units granted at the start
-- Reply {'OK', 1 when it was made, else 0}
--       {'FENCED'}   there is a segment of another generation
local gen = redis.call('HGET', KEYS[1], 'gen')
if gen then return gen == ARGV[1] and { 'OK', 0 } or { 'FENCED' } end
redis.call('HSET', KEYS[1], 'gen', ARGV[1], 'state', 'open', 't0', ARGV[2], 't1', ARGV[3], 'left', ARGV[4],
  'I', ARGV[4], 'O', 0, 'n', 0, 'epoch', 0, 'until', 0)
return { 'OK', 1 }
