#!lua flags=allow-oom
-- Removes orders that MySQL has committed from the head of a segment's list. Safe to repeat and to send late: orders are
-- removed by number, and only while the segment has the base that the drainer read, because under another base the list may
-- lack orders that were committed.
-- KEYS  segment hash, order list
-- ARGV  the base that was read, highest committed number; optional: the position of that number's record when it was read
-- Reply the number of orders removed; -1 when the head cannot be read; -2: the segment has another base
local list, upto = KEYS[2], tonumber(ARGV[2])
if (redis.call('HGET', KEYS[1], 'base') or '0') ~= ARGV[1] then return -2 end
local function number_at(index)
  local record = redis.call('LINDEX', list, index)
  return record and (tonumber(string.match(record, '^(%d+)|')) or -1)
end
local first, length = number_at(0), redis.call('LLEN', list)
if not first or first > upto then return 0 end
if first < 0 then return -1 end
-- Numbers above one base have no gap, so the last record to remove is usually where its number says; else binary search.
local low, high = 1, length
local count = tonumber(ARGV[3]) or upto - first + 1
if count <= length and number_at(count - 1) == upto then low, high = count, count end
while low < high do
  local middle = math.ceil((low + high) / 2)
  local found = number_at(middle - 1)
  -- drainers stop at an unreadable record: nothing from there on is committed
  if found >= 0 and found <= upto then low = middle else high = middle - 1 end
end
redis.call('LTRIM', list, low, -1)
return low
