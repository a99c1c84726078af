#!lua flags=allow-oom
-- The hub hears what segments hold, takes what they sent back, and grants one of them stock or says "sold out".
-- KEYS  hub hash
-- ARGV  fence, segment, its totals received and sent, its left, units wanted at least, how many candidates to name,
--       and in one word what others report: "segment received sent left ...", four numbers each; and where the caller
--       was told LATER, and has waited since: of which epoch
-- Reply {'GRANT', granted, taken}            totals for this segment; more than it had received
--       {'NONE', granted, taken, j, Gj, Rj, ...}  the hub is empty; segments that may hold stock, nearest first, and
--                                            their totals granted and taken
--       {'SOLDOUT', epoch, until ms}         every segment reported empty, nothing is in flight
--       {'LATER', epoch}                     there are units again, but not yet for anybody: see supply.lua
--       {'OK', granted, taken}               the answer to a report (want 0)
--       {'FENCED', fence} {'REGRESS'}        nothing was done
-- `empty` is one character a segment, '1' while its last report, left 0 with totals equal to ours, still holds:
-- left can rise only through a grant above the reported total, and that clears the mark here.
local hub, i = KEYS[1], tonumber(ARGV[2])
local G, R = 'G' .. i, 'R' .. i
local reports = { { i, tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]) } }
local fields = { 'fence', 'segments', 'avail', 'empty', 'sold_out', 'epoch', G, R }
for j, received, sent, left in string.gmatch(ARGV[8] or '', '(%d+) (%d+) (%d+) (%d+)') do
  reports[#reports + 1] = { tonumber(j), tonumber(received), tonumber(sent), tonumber(left) }
  fields[#fields + 1] = 'G' .. j
  fields[#fields + 1] = 'R' .. j
end
local h = redis.call('HMGET', hub, unpack(fields))
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
local segments, avail, empty, epoch = tonumber(h[2]), tonumber(h[3]), h[4], tonumber(h[6])
local granted, taken = tonumber(h[7]), tonumber(h[8])
for k, report in ipairs(reports) do
  if report[2] > tonumber(h[5 + 2 * k]) then return { 'REGRESS' } end
end

local changes = {}
local function set(field, value)
  changes[#changes + 1] = field
  changes[#changes + 1] = value
end
local function mark(j, c)
  if string.sub(empty, j + 1, j + 1) ~= c then
    empty = string.sub(empty, 1, j) .. c .. string.sub(empty, j + 2)
    set('empty', empty)
  end
end
local function save(...)
  if #changes > 0 then redis.call('HSET', hub, unpack(changes)) end
  return { ... }
end

for k, report in ipairs(reports) do
  local j, received, sent, left = unpack(report)
  local known = tonumber(h[6 + 2 * k])
  if sent > known then
    avail = avail + sent - known
    known = sent
    set('avail', avail)
    set('R' .. j, known)
    if j == i then taken = known end
    if h[5] == '1' then
      h[5] = '0'
      epoch = epoch + 1
      set('sold_out', 0)
      set('epoch', epoch)
    end
  end
  if left == 0 and received == tonumber(h[5 + 2 * k]) and sent == known then mark(j, '1') end
end
local want = tonumber(ARGV[6])
if want == 0 then return save('OK', granted, taken) end

if avail > 0 then
  if redis.call('HGET', hub, 'opening') == '1' then
    if tonumber(ARGV[9]) ~= epoch then return save('LATER', epoch) end
    set('opening', 0)
  end
  -- guided self-scheduling: large chunks while there is plenty, single units at the end
  local units = math.min(avail, math.max(want, math.floor(2 * avail / segments)))
  granted = granted + units
  set('avail', avail - units)
  set(G, granted)
  mark(i, '0')
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

local reply, candidates, totals = save('NONE', granted, taken), {}, {}
for step = 1, segments - 1 do
  local j = (i + step) % segments
  if #candidates >= tonumber(ARGV[7]) then break end
  if string.sub(empty, j + 1, j + 1) == '0' then
    candidates[#candidates + 1] = j
    totals[#totals + 1] = 'G' .. j
    totals[#totals + 1] = 'R' .. j
  end
end
if #candidates == 0 then return reply end
totals = redis.call('HMGET', hub, unpack(totals))
for k, j in ipairs(candidates) do
  reply[3 * k + 1] = j
  reply[3 * k + 2] = tonumber(totals[2 * k - 1])
  reply[3 * k + 3] = tonumber(totals[2 * k])
end
return reply
