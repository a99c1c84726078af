#!lua flags=allow-oom
-- Units are put on sale after the opening: the seller adds some, or cancelled orders give theirs back. Totals, so that a
-- repeated or late call does no harm. A sold-out sale opens again: flags of the old epoch are worth nothing from now on.
-- Workers may keep the hub's old word for 600 ms, and would refuse who has won meanwhile through another worker: until
-- they have forgotten it the hub is `opening`, and grants nothing (exchange.lua). No wall clock measures these
-- 600 ms, as it may be set. A worker measures them by its monotonic clock, and then calls with the epoch of this opening.
-- KEYS  hub hash
-- ARGV  fence, amount ever put on sale, units ever given back by cancelled orders; and the epoch that the
--       caller has known for 600 ms
-- Reply {'OK', epoch, units that were new, 1 while the hub is opening, else 0}
--       {'FENCED', fence} it is another one here, or none: nothing was done
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
