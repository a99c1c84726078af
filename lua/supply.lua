#!lua flags=allow-oom
-- Puts units on sale after the opening of the sale: a seller adds some, or cancelled orders return theirs. The arguments
-- are totals, so a repeated or late call does no harm. A coupon that is sold out opens again: sold-out flags of earlier
-- epochs are void from now on. But sold-out notices of workers may still be valid, and would refuse a customer who has won
-- through another worker meanwhile. Until these notices have ended the hub is `opening`, and grants nothing (exchange.lua).
-- Wall clocks may be set, so a worker measures that time by its monotonic clock, and then calls with the epoch.
-- KEYS  hub hash
-- ARGV  fence, all units ever put on sale, all units ever returned by cancelled orders; and the epoch for which the caller
--       has waited until no earlier notice is valid
-- Reply {'OK', epoch, units that were new, 1 while the hub is opening, else 0}
--       {'FENCED', fence} the hub has another fence, or none: nothing was done
local h = redis.call('HMGET', KEYS[1], 'fence', 'amount', 'cancelled', 'avail', 'sold_out', 'epoch', 'opening')
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
local amount = math.max(tonumber(h[2]), tonumber(ARGV[2]))
local cancelled = math.max(tonumber(h[3]), tonumber(ARGV[3]))
local units, epoch = amount + cancelled - h[2] - h[3], tonumber(h[6])
local opening = h[7] == '1' and tonumber(ARGV[4]) ~= epoch
if units > 0 then
  if h[5] == '1' then
    epoch = epoch + 1
    opening = true
  end
  redis.call('HSET', KEYS[1], 'amount', amount, 'cancelled', cancelled, 'avail', h[4] + units, 'sold_out', 0,
    'epoch', epoch)
end
opening = opening and 1 or 0
if opening ~= (tonumber(h[7]) or 0) then redis.call('HSET', KEYS[1], 'opening', opening) end
return { 'OK', epoch, units, opening }
