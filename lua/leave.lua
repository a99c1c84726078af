#!lua flags=allow-oom
-- Takes a customer off the waiting list of a coupon. Fields of the hub: see join.lua.
-- KEYS  hub hash, waiting list (sorted set: owner -> ticket), its journal (list)
-- ARGV  fence, owner, the owner's home segment
-- Reply {'LEFT', ticket}
--       {'NONE'}              this owner does not wait: nothing was done
--       {'PROMOTED', ticket}  a unit is on its way to this owner: nothing was done
--       {'UNLISTED'}          the list is being completed (relist.lua): nothing was done, ask again
--       {'NOLIST'}            the coupon has no waiting list
--       {'FENCED', fence}     the hub has another fence, or none: nothing was done
local hub, list, journal, owner = KEYS[1], KEYS[2], KEYS[3], ARGV[2]
local h = redis.call('HMGET', hub, 'fence', 'queue', 'waits', 'P' .. ARGV[3])
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
if not h[2] then return { 'NOLIST' } end
if h[3] ~= '1' then return { 'UNLISTED' } end
local mine = redis.call('ZSCORE', list, owner)
if not mine then
  for ticket, promoted in string.gmatch(h[4] or '', '(%d+) (%S+)') do
    if promoted == owner then return { 'PROMOTED', tonumber(ticket) } end
  end
  return { 'NONE' }
end
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREM', list, owner)
redis.call('HSET', hub, 'queue', h[2] - 1)
redis.call('RPUSH', journal, string.format('%d|%s|%d|l', mine, owner, ms))
return { 'LEFT', tonumber(mine) }
