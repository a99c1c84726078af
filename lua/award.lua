#!lua flags=allow-oom
-- A segment gives the units of a promotion (promote.lua) to those for whom they are. Safe to repeat and to send late: the
-- total says whether it was done, and `award` keeps what came of it. An owner who has an order already, or three that
-- expired or were cancelled (release.lua), gets none, and that unit goes back to the hub; so do all units while the sale
-- does not run here.
-- Fields of a segment: I and O, units received from the hub and sent back in all; t0 and t1, start and end of the sale in ms;
--       unowned, see claim.lua; award, of the last promotion: its G, and the number of each of its owners
-- KEYS  segment hash, owners hash (owner -> number), order list; and where one server holds all slots, the set of coupons
--       that have orders to drain
-- ARGV  fence; the hub's G with the promotion, its base and term; the promotion as noted, "ticket owner ticket owner ..."; where
--       there is the fourth key, the coupon's member of that set
-- Reply {'OK', left, received, sent, base, term, number of each owner in the order of the promotion, ...}   as debit.lua
--             replies, for a report; a number below 0 or above 0 is the owner's entry now; 0: the owner got nothing and has no
--             order (promoted.lua puts such entries back)
--       {'FENCED', fence}   the segment has another fence, or none; or it has lost its owners: nothing was done
--       {'REPLACED'}        the promotion is for an earlier base or term: nothing was done
local segment, owners, list = KEYS[1], KEYS[2], KEYS[3]
local granted, base, term = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local s = redis.call('HMGET', segment, 'fence', 'left', 'I', 'O', 'base', 'term', 'last', 'sold', 'state', 't0', 't1', 'award',
  'unowned')
if s[1] ~= ARGV[1] then return { 'FENCED', s[1] or '' } end
-- a missing field is an error here, before anything is written
local left, received, sent, last, sold, starts, ends = s[2] + 0, s[3] + 0, s[4] + 0, s[7] + 0, s[8] + 0, s[10] + 0, s[11] + 0
if base < tonumber(s[5]) or term < tonumber(s[6]) then return { 'REPLACED' } end
if not KEYS[4] and sold > (tonumber(s[13]) or 0) and redis.call('HLEN', owners) == 0 then -- see claim.lua
  redis.call('HSET', segment, 'fence', string.match(s[1], '^.*@'))
  return { 'FENCED', string.match(s[1], '^.*@') }
end
local names, tickets = {}, {}
for ticket, owner in string.gmatch(ARGV[5], '(%d+) (%S+)') do
  tickets[#tickets + 1] = ticket
  names[#names + 1] = owner
end
local function reply(numbers)
  local all = { 'OK', left, received, sent, tonumber(s[5]), tonumber(s[6]) }
  for _, number in ipairs(numbers) do all[#all + 1] = tonumber(number) end
  return all
end
local of, came = string.match(s[12] or '', '^(%d+) (.*)$')
local results = {}
if received >= granted then
  if tonumber(of) ~= granted then came = string.rep('0 ', #names) end -- a later one was done: this one is not outstanding
  for number in string.gmatch(came, '%S+') do results[#results + 1] = number end
  return reply(results)
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ms = string.format('%d', now)
local sells = s[9] == 'open' and now >= starts and not (ends > 0 and now >= ends)
local mine, owned, records = redis.call('HMGET', owners, unpack(names)), {}, {}
left = left + (granted - #names) - received -- ordinary units that were not credited yet
for k, owner in ipairs(names) do
  if sells and not mine[k] then
    last, sold = last + 1, sold + 1
    results[k] = string.format('%d', last)
    owned[#owned + 1], owned[#owned + 2] = owner, results[k]
    records[#records + 1] = table.concat({ results[k], owner, ms, tickets[k] }, '|')
  else
    results[k] = mine[k] or '0'
    sent = sent + 1
  end
end
received = granted
redis.call('HSET', segment, 'left', left, 'I', received, 'O', sent, 'last', string.format('%d', last), 'sold', sold, 'award',
  ARGV[2] .. ' ' .. table.concat(results, ' '))
if #records > 0 then
  redis.call('HSET', owners, unpack(owned))
  if redis.call('RPUSH', list, unpack(records)) == #records and KEYS[4] then redis.pcall('SADD', KEYS[4], ARGV[6]) end
end
return reply(results)
