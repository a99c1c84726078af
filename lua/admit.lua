#!lua flags=allow-oom
-- Admits a segment under a new base, before that segment is opened: the hub takes the units that the segment has sent back,
-- clears the segment's digit in `empty` (exchange.lua), and grants the units that the segment's orders need and that it never
-- received. From now on the hub refuses reports under earlier bases of the segment.
-- Fields of a segment: I and O, units received from the hub and sent back in all; t0 and t1, start and end of the sale in ms
-- Fields of the hub for segment i: Gi and Ri, units granted to it and taken back in all; Bi, the base that it was admitted with
-- A promotion that was outstanding for the segment (promote.lua) cannot be done any more: what was not done is put back
-- (relist.lua), and its units become ordinary ones of this segment. Promotions that were done may be lost there, so until the
-- list was completed the hub acts as if somebody waits.
-- KEYS  hub hash
-- ARGV  fence, segment, its new base, its totals received and sent, its units sold, with the orders that MySQL will write back
-- Reply {'OK', granted, taken, term, epoch, 1 while sold-out notices may be valid (supply.lua), else 0, how many wait}
--       {'SHORT', units that are missing}   more units are sold than were put on sale: nothing was done
--       {'REPLACED', base}   the hub has admitted a later base: nothing was done
--       {'FENCED', fence}    the hub has another fence, or none: nothing was done
local hub, i = KEYS[1], tonumber(ARGV[2])
local base, received, sent, sold = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local h = redis.call('HMGET', hub, 'fence', 'avail', 'empty', 'heard', 'sold_out', 'epoch', 'term', 'opening', 'G' .. i, 'R' .. i,
  'B' .. i, 'queue', 'P' .. i, 'V' .. i)
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
local queue = tonumber(h[12])
if queue then
  redis.call('HINCRBY', hub, 'waits', 1)
  queue = math.max(queue, 1)
  if h[13] and h[13] ~= '' and received < tonumber(h[9]) then
    local _, words = string.gsub(h[13], '%S+', '')
    queue = queue + words / 2
    redis.call('HSET', hub, 'V' .. i, h[14] and h[14] .. ' ' .. h[13] or h[13])
  end
  redis.call('HSET', hub, 'queue', queue)
  redis.call('HDEL', hub, 'P' .. i)
end
if h[5] ~= '0' then epoch = epoch + 1 end
if h[5] == '1' then opening = 1 end
redis.call('HSET', hub, 'avail', avail, 'G' .. i, granted, 'R' .. i, taken, 'B' .. i, base, 'sold_out', 0, 'epoch', epoch, 'opening',
  opening, 'empty', string.sub(empty, 1, i) .. '0' .. string.sub(empty, i + 2))
return { 'OK', granted, taken, tonumber(h[7]), epoch, opening, queue or 0 }
