#!lua flags=allow-oom
-- The hub reads reports of segments, takes the units that they returned, and grants one of them units or declares the coupon
-- sold out.
-- Fields of a segment: I and O, units received from the hub and sent back in all; t0 and t1, start and end of the sale in ms
-- Fields of the hub for segment i: Gi and Ri, units granted to it and taken back in all; Bi, the base that it was admitted with
-- KEYS  hub hash
-- ARGV  fence; of the segment that asks: its number, received, sent, left, base, and the hub's term that it has; units
--       wanted at least (0: only a report); how many candidates to name; in one argument the reports of other segments, six
--       numbers each as above; and, where the caller was answered LATER and has waited since, the epoch of that answer
-- Reply {'GRANT', granted, taken, base, term}   totals for this segment; more than it had received
--       {'NONE', granted, taken, base, term, j, Gj, Rj, Bj, ...}  the hub has no units; candidates, segments that may have
--                                            some, nearest first, with their totals granted and taken, and base
--       {'SOLDOUT', epoch, until ms}         every segment reported empty, and nothing is in flight
--       {'HELD', epoch, until ms, pay_by ms} the same, but some of the orders may still end without payment, the first of them
--                                            at pay_by (0: unknown): their units may come back. until 0: people wait for the
--                                            units that are left (promote.lua), and no segment may be flagged
--       {'LATER', epoch}                     the hub has units again, and may not grant them yet: see supply.lua; or a
--                                            promotion for this segment is not done yet
--       {'PAUSED'} {'ENDED'}                 the sale is paused, or over
--       {'UNHEARD'}                          the hub's server lost data, and not all segments have reported since
--       {'OK', granted, taken}               the answer to a report
--       {'REPLACED'}                         the report is for an earlier base of the segment or an earlier term of the hub:
--                                            an inspection is needed. The reports of others are taken nevertheless
--       {'FENCED', fence} {'REGRESS'}        nothing was done; REGRESS: the hub was rolled back
-- `empty` has a digit for each segment: 1 while its last report, left 0 with totals equal to the hub's, still holds. left can
-- rise only by a grant above the reported total, and such a grant clears the digit. `heard` has a digit for each segment, too:
-- 1 once the segment has reported to the hub in this term. From its first report in a term the hub takes over the totals of a
-- segment, whatever totals the hub had before.
-- `sold_out` is 0, 1 after SOLDOUT, or 2 after HELD. While it is 1, workers keep sold-out notices, so it does not become 2
-- within an epoch. A hub without `queue` has no waiting list. While people wait, nobody else is granted units; units of an
-- outstanding promotion are left out of every total that is told here. state, t1 and version are the sale's, see steer.lua.
-- While the seller wants more units back than were found (withdraw.lua), they come first. Hubs of earlier programs may lack pays,
-- pay_by, and what the last two sentences name.
local hub = KEYS[1]
local reports, fields = {}, { 'fence', 'segments', 'avail', 'empty', 'sold_out', 'epoch', 'term', 'heard', 'queue', 'state', 't1',
  'withdrawn', 'asked', 'missed' }
local OURS = #fields -- G, R and B of the segment of each report follow
local own = table.concat({ unpack(ARGV, 2, 7) }, ' ')
for j, received, sent, left, base, term in string.gmatch(own .. ' ' .. (ARGV[10] or ''), '(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)') do
  reports[#reports + 1] = { tonumber(j), tonumber(received), tonumber(sent), tonumber(left), tonumber(base), tonumber(term) }
  for _, field in ipairs({ 'G', 'R', 'B' }) do fields[#fields + 1] = field .. j end
end
local h = redis.call('HMGET', hub, unpack(fields))
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
local segments, avail, empty, epoch, term, heard = tonumber(h[2]), tonumber(h[3]), h[4], tonumber(h[6]), tonumber(h[7]), h[8]
local queue, waits = tonumber(h[9]), nil
local function at(word, j) return string.sub(word, j + 1, j + 1) end
local function put(word, j, c) return string.sub(word, 1, j) .. c .. string.sub(word, j + 2) end

local changes = {}
local function set(field, value)
  changes[#changes + 1] = field
  changes[#changes + 1] = value
end
local function mark(j, c)
  if at(empty, j) ~= c then
    empty = put(empty, j, c)
    set('empty', empty)
  end
end
local function save(...)
  if #changes > 0 then redis.call('HSET', hub, unpack(changes)) end
  return { ... }
end

-- Of the promotion outstanding for a segment: its text ('': none), and how many units it has.
local function promotion(j)
  local text = queue and redis.call('HGET', hub, 'P' .. j) or ''
  local _, words = string.gsub(text, '%S+', '')
  return text, words / 2
end

-- In a new term no earlier promotion can be done any more. What was not done is put back (relist.lua).
local function void_promotion(j, is_done)
  local text, units = promotion(j)
  if text == '' then return end
  waits = (waits or tonumber(redis.call('HGET', hub, 'waits'))) + 1
  set('P' .. j, '')
  set('waits', waits)
  if is_done then return end
  local before = redis.call('HGET', hub, 'V' .. j)
  queue = queue + units
  set('V' .. j, before and before .. ' ' .. text or text)
  set('queue', queue)
end

local granted, taken, base, is_replaced = 0, 0, 0, false
for k, report in ipairs(reports) do
  local j, received, sent, left, its_base, its_term = unpack(report)
  local G, R, B = tonumber(h[OURS + 3 * k - 2]), tonumber(h[OURS + 3 * k - 1]), tonumber(h[OURS + 3 * k])
  if its_base < B or its_term < term then
    is_replaced = is_replaced or k == 1
  else
    if at(heard, j) == '0' then -- it has this term and refuses grants of earlier ones: its totals are final
      heard = put(heard, j, '1')
      void_promotion(j, received >= G)
      avail = avail + G - received + sent - R
      G, R, B = received, sent, its_base
      set('heard', heard)
      set('avail', avail)
      set('G' .. j, G)
      set('R' .. j, R)
      set('B' .. j, B)
    end
    if received > G then return { 'REGRESS' } end
    if sent > R then
      avail = avail + sent - R
      R = sent
      set('avail', avail)
      set('R' .. j, R)
      if h[5] ~= '0' then
        h[5] = '0'
        epoch = epoch + 1
        set('sold_out', 0)
        set('epoch', epoch)
      end
    end
    if left == 0 and received == G and sent == R then mark(j, '1') end
  end
  if k == 1 then granted, taken, base = G, R, B end
end
local withdrawn = tonumber(h[12]) or 0
local wanted = (tonumber(h[13]) or 0) - (tonumber(h[14]) or 0) - withdrawn
if wanted > 0 and avail > 0 and not string.find(heard, '0', 1, true) then
  local units = math.min(wanted, avail)
  avail, withdrawn = avail - units, withdrawn + units
  set('avail', avail)
  set('withdrawn', withdrawn)
end
if is_replaced then return save('REPLACED') end
local i, want = reports[1][1], tonumber(ARGV[8])
local text, reserved = promotion(i)
granted = granted - reserved
if want == 0 then return save('OK', granted, taken) end

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local state, t1 = h[10], tonumber(h[11]) or 0
if state == 'ended' or t1 > 0 and now() >= t1 then
  if state ~= 'ended' then set('state', 'ended') end -- so that the sale stays ended when the clock is set back
  return save('ENDED')
end
if state == 'paused' then return save('PAUSED') end
if string.find(heard, '0', 1, true) then return save('UNHEARD') end

-- When the first of the units may come back whose orders are not final (0: unknown); nil where none may.
local function held()
  local s = redis.call('HMGET', hub, 'pays', 'pay_by', 'amount', 'final', 'final_cancelled')
  local units = s[3] - withdrawn - ((s[4] or 0) - (s[5] or 0))
  if s[1] == '1' and units > 0 then return tonumber(s[2]) or 0 end
end

local is_empty = not string.find(empty, '0', 1, true)
if queue and queue > 0 and (avail > 0 or not is_empty) then return save('HELD', epoch, 0, held() or 0) end
if text ~= '' then return save('LATER', epoch) end

if avail > 0 then
  if redis.call('HGET', hub, 'opening') == '1' then
    if tonumber(ARGV[11]) ~= epoch then return save('LATER', epoch) end
    set('opening', 0)
  end
  -- guided self-scheduling: large chunks while there is plenty, single units at the end
  local units = math.min(avail, math.max(want, math.floor(2 * avail / segments)))
  granted = granted + units
  set('avail', avail - units)
  set('G' .. i, granted)
  mark(i, '0')
  return save('GRANT', granted, taken, base, term)
end

if avail == 0 and is_empty then
  local pay_by = h[5] ~= '1' and held()
  if h[5] == '0' then
    epoch = epoch + 1
    set('epoch', epoch)
  end
  local said = pay_by and '2' or '1'
  if h[5] ~= said then set('sold_out', said) end
  local flag_until = now() + 1000
  if pay_by then return save('HELD', epoch, flag_until, pay_by) end
  return save('SOLDOUT', epoch, flag_until)
end

local reply, candidates, totals = save('NONE', granted, taken, base, term), {}, {}
for step = 1, segments - 1 do
  local j = (i + step) % segments
  if #candidates >= tonumber(ARGV[9]) then break end
  if at(empty, j) == '0' then
    candidates[#candidates + 1] = j
    for _, field in ipairs({ 'G', 'R', 'B' }) do totals[#totals + 1] = field .. j end
  end
end
if #candidates == 0 then return reply end
totals = redis.call('HMGET', hub, unpack(totals))
for k, j in ipairs(candidates) do
  reply[#reply + 1] = j
  for f = 3 * k - 2, 3 * k do reply[#reply + 1] = tonumber(totals[f]) end
  local _, units = promotion(j)
  reply[#reply - 2] = reply[#reply - 2] - units
end
return reply
