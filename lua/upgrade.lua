#!lua flags=allow-oom
-- Brings a slot of an earlier layout to layout 2. Layout 0 had a generation and no fence; layouts 0 and 1 took the number of
-- the last order for the number of units sold. The new fence names no incarnation, so the slot is suspect, and inspected before
-- anything is sold from it; a slot that was closed stays closed. Safe to repeat.
-- Fields of a segment: I and O, units received from the hub and sent back in all; t0 and t1, start and end of the sale in ms
-- Fields of the hub for segment i: Gi and Ri, units granted to it and taken back in all; Bi, the base that it was admitted with
-- KEYS  hub or segment hash
-- ARGV  none
-- Reply the fence that the slot has now; nil when there is no slot
local s = redis.call('HMGET', KEYS[1], 'fence', 'gen', 'segments', 'n')
local fence, generation, segments, n = s[1], s[2], tonumber(s[3]), s[4]
if not fence and not generation or fence and string.match(fence, '^%d+:') then return fence end
if segments then
  redis.call('HSET', KEYS[1], 'withdrawn', 0, 'final', 0, 'final_cancelled', 0, 'term', 0, 'heard', string.rep('0', segments))
  for i = 0, segments - 1 do redis.call('HSET', KEYS[1], 'B' .. i, 0) end
else
  redis.call('HSET', KEYS[1], 'last', n or 0, 'sold', n or 0, 'base', 0, 'term', 0)
end
fence = fence or generation .. '@'
fence = '2:' .. (string.match(fence, '^%d+@') or fence)
redis.call('HSET', KEYS[1], 'fence', fence)
redis.call('HDEL', KEYS[1], 'gen', 'n')
return fence
