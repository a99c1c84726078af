#!lua flags=allow-oom
-- The hub admits a new incarnation of a segment, before that is opened: what the segment has sent is taken, its mark goes, and
-- units that its orders need and it never got are granted. From now on reports of its earlier incarnations are refused.
-- KEYS  hub hash
-- ARGV  fence, segment, its new base, its totals received and sent, and its sold with the orders that MySQL writes back
-- Reply {'OK', granted, taken, term, epoch, 1 while workers may keep "sold out" (supply.lua), else 0}
--       {'SHORT', units that are missing}   more is sold than was put on sale: nothing was done
--       {'REPLACED', base}   the hub knows a later one: nothing was done
--       {'FENCED', fence}    it is another one here, or none: nothing was done
local hub, i = KEYS[1], tonumber(ARGV[2])
local base, received, sent, sold = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local h = redis.call('HMGET', hub, 'fence', 'avail', 'empty', 'heard', 'sold_out', 'epoch', 'term', 'opening', 'G' .. i, 'R' .. i,
  'B' .. i)
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
local avail, empty, epoch, granted, taken = tonumber(h[2]), h[3], tonumber(h[6]), tonumber(h[9]), tonumber(h[10])
local opening = tonumber(h[8]) or 0
if base < tonumber(h[11]) then return { 'REPLACED', tonumber(h[11]) } end
if sent > taken then
  avail = avail + sent - taken
  taken = sent
end
local need = math.max(received, taken + sold)
if need > granted then
  avail = avail - (need - granted)
  if avail < 0 and not string.find(h[4], '0', 1, true) then return { 'SHORT', -avail } end
  granted = need
end
if h[5] == '1' then
  epoch = epoch + 1
  opening = 1
end
redis.call('HSET', hub, 'avail', avail, 'G' .. i, granted, 'R' .. i, taken, 'B' .. i, base, 'sold_out', 0, 'epoch', epoch, 'opening',
  opening, 'empty', string.sub(empty, 1, i) .. '0' .. string.sub(empty, i + 2))
return { 'OK', granted, taken, tonumber(h[7]), epoch, opening }
