#!lua flags=allow-oom
-- Completes a segment before it is opened, with orders that MySQL has and totals that the hub has. Writes only while the
-- segment is as the inspection read it, and no inspection with a later base or term has completed it (`next`).
-- Fields of a segment: I and O, units received from the hub and sent back in all; t0 and t1, start and end of the sale in ms
-- Fields of the hub for segment i: Gi and Ri, units granted to it and taken back in all; Bi, the base that it was admitted with
-- KEYS  segment hash, owners hash (owner -> number)
-- ARGV  fence, sold, last, I, O as they were read; the base that this inspection was given; orders in one argument, "number
--       owner units ..." in ascending order (owner 0: the number has no order any more; units 0: the customer's entry already
--       stands for a unit, and gets this number); the hub's totals granted and taken, and its term. Many orders come in
--       several calls, each with the totals
-- Reply {'OK', sold, last, I, O, left}
--       {'SHORT', units that are missing}   more is sold than was granted: nothing was done
--       {'OTHER'}            the segment is not as it was read: nothing was done
local segment, base, term = KEYS[1], tonumber(ARGV[6]), tonumber(ARGV[10])
local s = redis.call('HMGET', segment, 'fence', 'sold', 'last', 'I', 'O', 'next', 'term')
for k = 1, 5 do
  if s[k] ~= ARGV[k] then return { 'OTHER' } end
end
if s[6] and (base < tonumber(s[6]) or term < tonumber(s[7])) then return { 'OTHER' } end
local sold, last = tonumber(s[2]), tonumber(s[3])
local received, sent = math.max(s[4], tonumber(ARGV[8])), math.max(s[5], tonumber(ARGV[9]))
local owners = {}
for number, user, units in string.gmatch(ARGV[7], '(%d+) ([%d#]+) (%d+)') do
  if tonumber(number) > last then
    sold = sold + tonumber(units)
    last = tonumber(number)
    if user ~= '0' then owners[#owners + 1] = { user, number } end
  end
end
local left = received - sent - sold
if left < 0 then return { 'SHORT', -left } end
for _, owner in ipairs(owners) do redis.call('HSET', KEYS[2], owner[1], owner[2]) end
redis.call('HSET', segment, 'next', base, 'sold', sold, 'last', last, 'I', received, 'O', sent, 'left', left, 'term', term)
return { 'OK', sold, last, received, sent, left }
