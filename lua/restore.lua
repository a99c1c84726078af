#!lua
-- Inserts an order into the list that has lost it, at the place of its number. Safe to repeat and to send late: drainers
-- recognise and trim orders that are committed.
-- KEYS  segment hash, owners hash, order list
-- ARGV  fence, owner (as in claim.lua), sequence, ms of the claim
-- Reply {'OK', 1 when it was inserted, 0 when the list had it}
--       {'OTHER'}     the owners hash has another sequence for this owner, or none: nothing was done
--       {'GARBAGE'}   a record of the list cannot be read: nothing was done
--       {'FENCED', fence}   the segment has another fence, or none: nothing was done
local segment, owners, list = KEYS[1], KEYS[2], KEYS[3]
local owner, sequence = ARGV[2], tonumber(ARGV[3])
local fence = redis.call('HGET', segment, 'fence')
if fence ~= ARGV[1] then return { 'FENCED', fence } end
if redis.call('HGET', owners, owner) ~= ARGV[3] then return { 'OTHER' } end

-- binary search for the first record with a higher sequence
local length = redis.call('LLEN', list)
local low, high = 0, length
while low < high do
  local middle = math.floor((low + high) / 2)
  local found = tonumber(string.match(redis.call('LINDEX', list, middle), '^(%d+)|'))
  if not found then return { 'GARBAGE' } end
  if found == sequence then return { 'OK', 0 } end
  if found < sequence then low = middle + 1 else high = middle end
end
local record = string.format('%d|%s|%s', sequence, owner, ARGV[4])
if low == length then
  redis.call('RPUSH', list, record)
else
  redis.call('LINSERT', list, 'BEFORE', redis.call('LINDEX', list, low), record)
end
return { 'OK', 1 }
