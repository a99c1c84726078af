#!lua flags=allow-oom
-- Removes the owner's entries of orders that are over, so that their customers may claim again. Safe to repeat and to send
-- late: an entry is removed only while it has the number of that order, and no entry has a number twice.
-- Field of a segment: unowned, how many of the units sold have no owner (claim.lua)
-- KEYS  segment hash, owners hash (owner -> number; -number: three of the owner's orders have expired, or were
--       cancelled by the customer, and no other is sold)
-- ARGV  fence; of each order: owner (as in claim.lua), number, 1 where the entry stays with -number
-- Reply {'OK', how many entries were removed or changed}
--       {'FENCED', fence}   the segment has another fence, or none: nothing was done
local segment, owners = KEYS[1], KEYS[2]
local fence = redis.call('HGET', segment, 'fence')
if fence ~= ARGV[1] then return { 'FENCED', fence } end
local removed, kept = 0, 0
for i = 2, #ARGV, 3 do
  local owner, number = ARGV[i], ARGV[i + 1]
  if redis.call('HGET', owners, owner) == number then
    if ARGV[i + 2] == '1' then
      redis.call('HSET', owners, owner, '-' .. number)
      kept = kept + 1
    else
      redis.call('HDEL', owners, owner)
      removed = removed + 1
    end
  end
end
if removed > 0 then redis.call('HINCRBY', segment, 'unowned', removed) end
return { 'OK', removed + kept }
