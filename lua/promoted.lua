#!lua flags=allow-oom
-- The hub learns that award.lua has done a promotion, so the segment may be granted units again. Safe to repeat and to send
-- late: only the promotion that is noted is removed, and tickets are given out once. Fields of the hub: see promote.lua.
-- KEYS  hub hash, waiting list (sorted set: owner -> ticket)
-- ARGV  fence, segment, the promotion as noted; in one argument, the owners of it who got nothing and have no order: they wait
--       again, at their places; the term for which the promotion was done: a hub that has lost writes since may note one that is
--       not done any more
-- Reply {'OK', how many wait}
--       {'OTHER'}           this promotion is not outstanding: nothing was done
--       {'FENCED', fence}   the hub has another fence, or none: nothing was done
local hub, list, field = KEYS[1], KEYS[2], 'P' .. ARGV[2]
local h = redis.call('HMGET', hub, 'fence', field, 'queue', 'term')
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
if not h[2] or h[2] == '' or h[2] ~= ARGV[3] or h[4] ~= ARGV[5] then return { 'OTHER' } end
local tickets, queue = {}, tonumber(h[3])
for ticket, owner in string.gmatch(h[2], '(%d+) (%S+)') do tickets[owner] = ticket end
for owner in string.gmatch(ARGV[4], '%S+') do
  if tickets[owner] then queue = queue + redis.call('ZADD', list, tickets[owner], owner) end
end
redis.call('HDEL', hub, field)
redis.call('HSET', hub, 'queue', queue)
return { 'OK', queue }
