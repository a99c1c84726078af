#!lua flags=allow-oom
-- Drops orders from the head of a segment's list that MySQL has committed. Safe to repeat, and late: by number, and only
-- from the incarnation of the segment that the drainer read, as another one's list may lack what was committed.
-- KEYS  segment hash, order list
-- ARGV  the base that was read, highest committed number; may follow: how many records ended with it as it was read
-- Reply the number of orders dropped; -1 when the head cannot be read; -2: it is another incarnation
local list, upto = KEYS[2], tonumber(ARGV[2])
if (redis.call('HGET', KEYS[1], 'base') or '0') ~= ARGV[1] then return -2 end
local function number_at(index)
  local record = redis.call('LINDEX', list, index)
  return record and (tonumber(string.match(record, '^(%d+)|')) or -1)
end
local first, length = number_at(0), redis.call('LLEN', list)
if not first or first > upto then return 0 end
if first < 0 then return -1 end
-- Numbers of one incarnation have no gap, so that the last one to drop is mostly where it should be; else by halves.
local low, high = 1, length
local count = tonumber(ARGV[3]) or upto - first + 1
if count <= length and number_at(count - 1) == upto then low, high = count, count end
while low < high do
  local middle = math.ceil((low + high) / 2)
  local found = number_at(middle - 1)
  -- what cannot be read stops drainers: nothing from there on is committed
  if found >= 0 and found <= upto then low = middle else high = middle - 1 end
end
redis.call('LTRIM', list, low, -1)
return low
