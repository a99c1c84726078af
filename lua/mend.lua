#!lua flags=allow-oom
-- Writes into a segment that is not open what it lacks: orders that MySQL has, and totals that the hub has. It is done only
-- while the segment is as it was read, and no inspection with a later base or in a later term has been here (`next`).
-- KEYS  segment hash, owners hash (user -> number)
-- ARGV  fence, sold, last, I, O as they were read; the base that this inspection was given; orders in one word, "number user
--       units ..." in ascending order, user 0: nobody's any more, units 0: it takes over the unit of that customer's entry;
--       and the hub's totals granted and taken, and its term. Many orders come in parts, each with the totals
-- Reply {'OK', sold, last, I, O, left}
--       {'SHORT', units that are missing}   more is sold than was granted: nothing was done
--       {'OTHER'}            it is not as it was read: nothing was done
local segment, base, term = KEYS[1], tonumber(ARGV[6]), tonumber(ARGV[10])
local s = redis.call('HMGET', segment, 'fence', 'sold', 'last', 'I', 'O', 'next', 'term')
for k = 1, 5 do
  if s[k] ~= ARGV[k] then return { 'OTHER' } end
end
if s[6] and (base < tonumber(s[6]) or term < tonumber(s[7])) then return { 'OTHER' } end
local sold, last = tonumber(s[2]), tonumber(s[3])
local received, sent = math.max(s[4], tonumber(ARGV[8])), math.max(s[5], tonumber(ARGV[9]))
local owners = {}
for number, user, units in string.gmatch(ARGV[7], '(%d+) (%d+) (%d+)') do
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
