#!lua flags=allow-oom
-- Tells the hub what MySQL has counted: units that a seller has added or that orders have given back go on sale. The counts
-- are totals, so a repeated or late call does no harm. A coupon that is sold out opens again: sold-out flags of earlier epochs
-- are void from now on. But where the hub had declared it sold out for good, sold-out notices of workers may still be valid,
-- and would refuse a customer who has won through another worker meanwhile. Until these notices have ended the hub is
-- `opening`, and grants nothing (exchange.lua). Wall clocks may be set, so a worker measures that time by its monotonic clock,
-- and then calls with the epoch.
-- Fields of the hub: final and final_cancelled, units that became final and units of these that were given back; pays, 1 where
-- an order that is not paid in time gives its unit back; pay_by, when the next one may do so; sold_out, see exchange.lua. Hubs
-- of earlier programs may lack pays and pay_by
-- withdrawn and missed, see withdraw.lua: MySQL has more than the hub only if the hub has lost writes. Then avail may be below 0
-- until all segments have reported.
-- KEYS  hub hash
-- ARGV  fence, all units ever put on sale, all units ever given back, final, final_cancelled, pays, pay_by ('': as before); the
--       epoch for which the caller has waited until no earlier notice is valid; withdrawn and missed
-- Reply {'OK', epoch, units that were new, 1 while the hub is opening, else 0, 1 when the epoch has risen, else 0}
--       {'FENCED', fence} the hub has another fence, or none: nothing was done
local hub, totals = KEYS[1], { 'amount', 'cancelled', 'final', 'final_cancelled', 'pays' }
local taken, withdrawn = { 'withdrawn', 'missed' }, 0
local h = redis.call('HMGET', hub, 'fence', 'avail', 'sold_out', 'epoch', 'opening', unpack(totals))
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
local off = redis.call('HMGET', hub, unpack(taken))
local avail, sold_out, epoch, rose, units = tonumber(h[2]), h[3], tonumber(h[4]), 0, 0
local opening = h[5] == '1' and tonumber(ARGV[8]) ~= epoch
for k, field in ipairs(totals) do
  local had, told = tonumber(h[5 + k]) or 0, tonumber(ARGV[1 + k])
  if told > had then
    redis.call('HSET', hub, field, told)
    if k <= 2 then units = units + told - had end
  end
end
for k, field in ipairs(taken) do
  local had, told = tonumber(off[k]) or 0, tonumber(ARGV[8 + k]) or 0
  if told > had then
    redis.call('HSET', hub, field, told)
    if k == 1 then withdrawn = told - had end
  end
end
avail = avail - withdrawn
if units > 0 then
  if sold_out ~= '0' then
    epoch, rose = epoch + 1, 1
    opening = opening or sold_out == '1'
  end
  redis.call('HSET', hub, 'sold_out', 0, 'epoch', epoch)
end
if units > 0 or withdrawn > 0 then redis.call('HSET', hub, 'avail', avail + units) end
if ARGV[7] ~= '' then redis.call('HSET', hub, 'pay_by', ARGV[7]) end
opening = opening and 1 or 0
if opening ~= (tonumber(h[5]) or 0) then redis.call('HSET', hub, 'opening', opening) end
return { 'OK', epoch, units, opening, rose }
