#!lua
-- Puts a customer on the waiting list of a coupon, at its end.
-- Fields of the hub: queue, how many wait (missing: the coupon has no waiting list); ticket, the last one given out; waits, 1
--       when the list is whole (promote.lua); Pi, the promotion outstanding for segment i, as "ticket owner ticket owner ..."
-- KEYS  hub hash, waiting list (sorted set: owner -> ticket), its journal (list)
-- ARGV  fence, owner, the owner's home segment, how many may wait; 1 where replicas confirm the answer (WAIT covers only
--       writes of its connection): an entry that is there already is written to once more
-- Reply {'JOINED', ticket, position}   positions begin at 1
--       {'WAITS', ticket, position}    this owner waits already
--       {'PROMOTED', ticket}           a unit is on its way to this owner: nothing was done
--       {'UNITS'}                      units are left, or may be: the customer should claim; nothing was done
--       {'FULL'}                       as many wait as may wait: nothing was done
--       {'UNLISTED'}                   the list is being completed (relist.lua): nothing was done, ask again
--       {'NOLIST'}                     the coupon has no waiting list
--       {'FENCED', fence}              the hub has another fence, or none: nothing was done
local hub, list, journal, owner = KEYS[1], KEYS[2], KEYS[3], ARGV[2]
local h = redis.call('HMGET', hub, 'fence', 'queue', 'ticket', 'waits', 'sold_out', 'P' .. ARGV[3])
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
if not h[2] then return { 'NOLIST' } end
if h[4] ~= '1' then return { 'UNLISTED' } end
local queue, mine = tonumber(h[2]), redis.call('ZSCORE', list, owner)
if mine then
  if ARGV[5] == '1' then redis.call('HINCRBY', hub, 'confirms', 1) end
  return { 'WAITS', tonumber(mine), redis.call('ZRANK', list, owner) + 1 }
end
for ticket, promoted in string.gmatch(h[6] or '', '(%d+) (%S+)') do
  if promoted == owner then return { 'PROMOTED', tonumber(ticket) } end
end
if h[5] == '0' and queue == 0 then return { 'UNITS' } end
if queue >= tonumber(ARGV[4]) then return { 'FULL' } end
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local ticket = string.format('%d', h[3] + 1)
redis.call('ZADD', list, ticket, owner)
redis.call('HSET', hub, 'queue', queue + 1, 'ticket', ticket)
redis.call('RPUSH', journal, string.format('%s|%s|%d|w', ticket, owner, ms))
return { 'JOINED', tonumber(ticket), queue + 1 }
