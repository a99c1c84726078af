#!lua
-- Puts an order that its list has lost back in its place among the others. Safe to repeat, and late: what the drainers
-- have committed they recognise and trim.
-- KEYS  segment hash, owners hash, order list
-- ARGV  fence, user, sequence, ms of the claim
-- Reply {'OK', 1 when it was put there, 0 when it is there already}
--       {'OTHER'}     this user does not own that sequence: nothing was done
--       {'GARBAGE'}   a record that was looked at cannot be read: nothing was done
--       {'FENCED', fence}   it is another one here, or none: nothing was done
local segment, owners, list = KEYS[1], KEYS[2], KEYS[3]
local user, sequence = ARGV[2], tonumber(ARGV[3])
local fence = redis.call('HGET', segment, 'fence')
if fence ~= ARGV[1] then return { 'FENCED', fence } end
if redis.call('HGET', owners, user) ~= ARGV[3] then return { 'OTHER' } end

-- the first record with a higher sequence, by halves
local length = redis.call('LLEN', list)
local low, high = 0, length
while low < high do
  local middle = math.floor((low + high) / 2)
  local found = tonumber(string.match(redis.call('LINDEX', list, middle), '^(%d+)|'))
  if not found then return { 'GARBAGE' } end
  if found == sequence then return { 'OK', 0 } end
  if found < sequence then low = middle + 1 else high = middle end
end
local record = string.format('%d|%s|%s', sequence, user, ARGV[4])
if low == length then
  redis.call('RPUSH', list, record)
else
  redis.call('LINSERT', list, 'BEFORE', redis.call('LINDEX', list, low), record)
end
return { 'OK', 1 }
