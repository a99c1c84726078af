#!lua flags=allow-oom
-- Units of the hub go to those who wait, in the order of their tickets. A promotion is a grant that is reserved: G of the
-- home segment rises, and the hub notes for whom in P. While P is there, the hub grants the segment nothing else, and
-- tells everybody but award.lua the total without the reserved units. So nothing else can credit them, and a segment that
-- has received G has done exactly this promotion.
-- Fields of the hub: queue, how many wait (missing: the coupon has no waiting list); waits, 1 when the list is whole; state,
--       t0 and t1, of the sale; for segment i: Gi, units granted to it in all; Bi, the base that it was admitted with; Pi, the
--       promotion outstanding, as "ticket owner ticket owner ...", in the order of the tickets; Vi, entries of promotions
--       that cannot be done any more, until relist.lua puts them back (they count in queue)
-- KEYS  hub hash, waiting list (sorted set: owner -> ticket)
-- ARGV  fence; start and end of the sale in ms, where the hub does not have them; the epoch for which the caller has waited, as
--       in exchange.lua ('': none); how many entries at the head are left where they are, because their segments are away; and,
--       in one argument, of each entry behind these, as the caller has read them: "owner ticket home", three words each (home
--       -: this segment is away, the entry keeps its place, and those behind it may be promoted)
-- Reply {word, epoch, units at the hub, how many wait, term, empty, how many were promoted, and of each promotion that is
--       outstanding, new or not: segment, its G, its B, its P}
--       The first entry that is not where the caller saw it, or whose segment has a promotion outstanding, ends the call.
--       word  OK        as many were promoted as there were units and entries
--             LATER     not yet: sold-out notices may be valid, see supply.lua
--             UNHEARD   not yet: the hub's server lost data, and not all segments have reported since
--             UNLISTED  not yet: the list is to be completed (relist.lua)
--             EARLY PAUSED ENDED   the sale does not run
--       {'NOLIST'}         the coupon has no waiting list
--       {'FENCED', fence}  the hub has another fence, or none: nothing was done
-- `empty` has a digit for each segment. A segment with 0 and without an outstanding promotion may have units: while people
-- wait and the hub has none, the caller debits it (debit.lua) and brings its report (exchange.lua, wanting 0).
local hub, list = KEYS[1], KEYS[2]
local h = redis.call('HMGET', hub, 'fence', 'segments', 'avail', 'queue', 'epoch', 'term', 'heard', 'empty', 'opening', 'waits',
  'state', 't0', 't1')
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
if not h[4] then return { 'NOLIST' } end
local segments, avail, queue, epoch, empty = tonumber(h[2]), tonumber(h[3]), tonumber(h[4]), tonumber(h[5]), h[8]
local fields = {}
for j = 0, segments - 1 do
  for _, field in ipairs({ 'P', 'G', 'B' }) do fields[#fields + 1] = field .. j end
end
local with = redis.call('HMGET', hub, unpack(fields))
local function noted(j) return with[3 * j + 1] or '' end

local function word()
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local starts, ends = tonumber(h[12] or ARGV[2]), tonumber(h[13] or ARGV[3])
  if h[11] == 'paused' then return 'PAUSED' end
  if h[11] == 'ended' or ends > 0 and now >= ends then return 'ENDED' end
  if now < starts then return 'EARLY' end
  if string.find(h[7], '0', 1, true) then return 'UNHEARD' end
  if h[10] ~= '1' then return 'UNLISTED' end
  if h[9] == '1' and avail > 0 then
    if tonumber(ARGV[4]) ~= epoch then return 'LATER' end
    redis.call('HSET', hub, 'opening', 0)
  end
  return 'OK'
end

local said, promoted, of = word(), {}, {}
if said == 'OK' and ARGV[6] and avail > 0 then
  local _, words = string.gsub(ARGV[6], '%S+', '')
  local skipped, k = tonumber(ARGV[5]), 0
  local waiting = redis.call('ZRANGE', list, skipped, skipped + words / 3 - 1, 'WITHSCORES')
  for owner, ticket, home in string.gmatch(ARGV[6], '(%S+) (%d+) (%S+)') do
    local j = tonumber(home)
    k = k + 2
    if waiting[k - 1] ~= owner or tonumber(waiting[k]) ~= tonumber(ticket) then break end
    if j then
      if #promoted == avail or noted(j) ~= '' then break end
      promoted[#promoted + 1] = owner
      of[j] = of[j] or {}
      table.insert(of[j], ticket .. ' ' .. owner)
    end
  end
end
if #promoted > 0 then
  local changes = {}
  for j, entries in pairs(of) do
    with[3 * j + 1], with[3 * j + 2] = table.concat(entries, ' '), with[3 * j + 2] + #entries
    for _, pair in ipairs({ { 'P', with[3 * j + 1] }, { 'G', with[3 * j + 2] } }) do
      changes[#changes + 1] = pair[1] .. j
      changes[#changes + 1] = pair[2]
    end
    empty = string.sub(empty, 1, j) .. '0' .. string.sub(empty, j + 2)
  end
  avail, queue = avail - #promoted, queue - #promoted
  redis.call('HSET', hub, 'avail', avail, 'queue', queue, 'empty', empty, unpack(changes))
  redis.call('ZREM', list, unpack(promoted))
end
local reply = { said, epoch, avail, queue, tonumber(h[6]), empty, #promoted }
for j = 0, segments - 1 do
  if noted(j) ~= '' and string.sub(h[7], j + 1, j + 1) == '1' then
    for _, value in ipairs({ j, tonumber(with[3 * j + 2]), tonumber(with[3 * j + 3]), noted(j) }) do reply[#reply + 1] = value end
  end
end
return reply
