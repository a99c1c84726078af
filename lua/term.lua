#!lua flags=allow-oom
-- The hub begins a new term, because its server may have lost writes. Until every segment has reported in this term, the hub
-- grants nothing and does not declare the coupon sold out (exchange.lua). Sold-out notices from before may still be valid:
-- see supply.lua. Epochs of a term begin above those of all earlier terms, because the last epoch may be lost here;
-- so do tickets of the waiting list, which is to be completed before anybody is promoted (relist.lua):
-- until then the hub acts as if somebody waits, because it may have lost that. The hub may have lost a later state or window of
-- the sale, too: it gets the highest version that the inspection has found (steer.lua).
-- KEYS  hub hash
-- ARGV  the fence expected, the new one, the term that MySQL has counted, 1 where notices may be valid although the hub
--       has lost that it declared the coupon sold out (not on a single server: no notice lasts as long as its restart);
--       version, state, start and end of the sale (missing: as they are)
-- Reply {'OK', epoch, how many wait, at least 1 where there is a waiting list, else 0}
--       {'REPLACED', term}   the hub has this term or a later one: nothing was done
--       {'FENCED', fence}    the hub has another fence, or none: nothing was done
local h = redis.call('HMGET', KEYS[1], 'fence', 'term', 'segments', 'sold_out', 'opening', 'waits', 'ticket', 'queue',
  'version')
local term = tonumber(ARGV[3])
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
if tonumber(h[2]) >= term then return { 'REPLACED', tonumber(h[2]) } end
local opening = (ARGV[4] == '1' or h[4] == '1' or h[5] == '1') and 1 or 0
local none = string.rep('0', tonumber(h[3]))
local epoch = term * 2 ^ 20
redis.call('HSET', KEYS[1], 'term', term, 'heard', none, 'empty', none, 'sold_out', 0, 'epoch', string.format('%d', epoch),
  'opening', opening, 'fence', ARGV[2])
if h[6] then
  redis.call('HSET', KEYS[1], 'waits', h[6] + 1, 'ticket', string.format('%d', math.max(h[7] or 0, term * 2 ^ 30)), 'queue',
    math.max(h[8] or 0, 1))
end
if ARGV[5] and (not h[9] or tonumber(ARGV[5]) > tonumber(h[9])) then
  redis.call('HSET', KEYS[1], 'version', ARGV[5], 'state', ARGV[6], 't0', ARGV[7], 't1', ARGV[8])
end
return { 'OK', epoch, h[6] and math.max(h[8] or 0, 1) or 0 }
