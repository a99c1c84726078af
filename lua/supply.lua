#!lua flags=allow-oom
-- Units are put on sale after the opening: the seller adds some, or cancelled orders give theirs back. Totals, so that a
-- repeated or late call does no harm. A sold-out sale opens again: flags of the old epoch are worth nothing from now on.
-- Workers may keep the hub's old word for 600 ms, and would refuse who has won meanwhile through another worker: until
-- they have forgotten it the hub grants nothing (exchange.lua).
-- KEYS  hub hash
-- ARGV  fence, amount ever put on sale, units ever given back by cancelled orders
-- Reply {'OK', epoch, units that were new, ms until workers have forgotten "sold out"}
--       {'FENCED', fence} it is another one here, or none: nothing was done
local h = redis.call('HMGET', KEYS[1], 'fence', 'amount', 'cancelled', 'avail', 'sold_out', 'epoch', 'reopened')
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
local amount = math.max(tonumber(h[2]), tonumber(ARGV[2]))
local cancelled = math.max(tonumber(h[3]), tonumber(ARGV[3]))
local units, epoch = amount + cancelled - h[2] - h[3], tonumber(h[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local reopened = tonumber(h[7]) or 0
if units > 0 then
  if h[5] == '1' then
    epoch = epoch + 1
    reopened = now
    redis.call('HSET', KEYS[1], 'reopened', now)
  end
  redis.call('HSET', KEYS[1], 'amount', amount, 'cancelled', cancelled, 'avail', h[4] + units, 'sold_out', 0,
    'epoch', epoch)
end
return { 'OK', epoch, units, math.max(0, math.min(600, reopened + 600 - now)) }
