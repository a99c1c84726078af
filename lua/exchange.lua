#!lua flags=allow-oom
-- The hub hears what a segment holds, takes what it sent back, and grants it stock or says "sold out".
-- KEYS  hub hash
-- ARGV  generation, segment, its totals received and sent, its left, units wanted at least, how many candidates to name
-- Reply {'GRANT', granted, taken}            totals for this segment; more than it had received
--       {'NONE', granted, taken, j, ...}     the hub is empty; segments that may hold stock, nearest first
--       {'SOLDOUT', epoch, until ms}         every segment reported empty, nothing is in flight
--       {'OK', granted, taken}               the answer to a report (want 0)
--       {'FENCED'} {'REGRESS'}               nothing was done
-- `empty` is one character a segment, '1' while its last report, left 0 with totals equal to ours, still holds:
-- left can rise only through a grant above the reported total, and that clears the mark here.
local hub, i = KEYS[1], tonumber(ARGV[2])
local G, R = 'G' .. i, 'R' .. i
local h = redis.call('HMGET', hub, 'gen', 'segments', 'avail', 'empty', 'sold_out', 'epoch', G, R)
if h[1] ~= ARGV[1] then return { 'FENCED' } end
local segments, avail, empty, epoch = tonumber(h[2]), tonumber(h[3]), h[4], tonumber(h[6])
local granted, taken = tonumber(h[7]), tonumber(h[8])
local received, sent, left = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if received > granted then return { 'REGRESS' } end

local changes = {}
local function set(field, value)
  changes[#changes + 1] = field
  changes[#changes + 1] = value
end
local function mark(c)
  if string.sub(empty, i + 1, i + 1) ~= c then
    empty = string.sub(empty, 1, i) .. c .. string.sub(empty, i + 2)
    set('empty', empty)
  end
end
local function save(...)
  if #changes > 0 then redis.call('HSET', hub, unpack(changes)) end
  return { ... }
end

if sent > taken then
  avail = avail + sent - taken
  taken = sent
  set('avail', avail)
  set(R, taken)
  if h[5] == '1' then
    h[5] = '0'
    epoch = epoch + 1
    set('sold_out', 0)
    set('epoch', epoch)
  end
end
if left == 0 and received == granted and sent == taken then mark('1') end
local want = tonumber(ARGV[6])
if want == 0 then return save('OK', granted, taken) end

if avail > 0 then
  -- guided self-scheduling: large chunks while there is plenty, single units at the end
  local units = math.min(avail, math.max(want, math.floor(3 * avail / (2 * segments))))
  granted = granted + units
  set('avail', avail - units)
  set(G, granted)
  mark('0')
  return save('GRANT', granted, taken)
end

if not string.find(empty, '0', 1, true) then
  if h[5] ~= '1' then
    epoch = epoch + 1
    set('sold_out', 1)
    set('epoch', epoch)
  end
  local time = redis.call('TIME')
  return save('SOLDOUT', epoch, time[1] * 1000 + math.floor(time[2] / 1000) + 1000)
end

local reply = save('NONE', granted, taken)
for step = 1, segments - 1 do
  local j = (i + step) % segments
  if #reply - 3 >= tonumber(ARGV[7]) then break end
  if string.sub(empty, j + 1, j + 1) == '0' then reply[#reply + 1] = j end
end
return reply
