#!lua
-- Customers claim one unit each from their home segments; units that the hub granted to the segment are credited first. A
-- call has several claims: KEYS has the keys of each claim in turn, ARGV the number of claims, then the arguments of each.
-- Fields of a segment: I and O, units received from the hub and sent back in all; t0 and t1, start and end of the sale in ms
-- Fields of the hub for segment i: Gi and Ri, units granted to it and taken back in all; Bi, the base that it was admitted with
-- KEYS  segment hash, owners hash (user -> sequence), order list; and where one server holds all slots, the indexes in which
--       the script enters a winner: the customer's list, the set of coupons that have orders to drain
-- ARGV  fence, user (0: credit only), the hub's totals for this segment in one argument: granted, taken back, and the base
--       and the term for which they hold ('': none), how many orders may wait on the list ('': any number); for further
--       KEYS: the order's number up to its sequence, the coupon's member of the set
-- Reply an answer for each claim, as text:
--       WON sequence left ms n      the order is on the list, and n orders are there now
--       MINE sequence               the order that this user has already
--       FULL                        as many orders wait on the list as may wait: nothing was done
--       NEED received sent base term ms   no unit was left here at ms, by the clock of this server: ask the hub
--       SOLDOUT epoch               the hub declared the coupon sold out; the segment's sold-out flag lasts a second at most
--       EARLY ms (to the start)     ENDED     PAUSED
--       OK left received sent       credit only
--       FENCED fence                the segment has another fence, or none: nothing was done
--       REGRESS                     this segment was rolled back: nothing was done
--       REPLACED                    the totals are for an earlier base or term: nothing was done
--       BROKEN error                a value here has a wrong type or is missing
local call, format = redis.call, string.format -- numbers as text: redis.call would print them as floats
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ms = format('%d', now)

-- Fields that have to do with the hub. A winner does not need them, so they are read separately.
local function hub_fields(segment)
  local t = call('HMGET', segment, 'I', 'O', 'until', 'epoch', 'base', 'term')
  return tonumber(t[1]), tonumber(t[2]), tonumber(t[3]), t[4], tonumber(t[5]), tonumber(t[6])
end

-- Credits the units that the hub has granted. Returns the units left after that; or nil and the refusal, with nothing done.
local function credit(segment, left, totals)
  local received, sent, _, _, base, term = hub_fields(segment)
  local granted, taken, for_base, for_term = string.match(totals, '^(%d+) (%d+) (%d+) (%d+)$')
  granted, taken, for_base, for_term = tonumber(granted), tonumber(taken), tonumber(for_base), tonumber(for_term)
  if for_base < base or for_term < term then return nil, 'REPLACED' end
  if taken > sent then return nil, 'REGRESS' end
  if granted > received then
    left = left + granted - received
    call('HSET', segment, 'left', left, 'I', granted, 'until', 0)
  end
  return left
end

-- The fence of the segment, for the answer to a claim with another fence. A slot of layout 0 has none: the answer is its
-- generation, written as in a fence of layout 1.
local function fence_of(segment)
  local s = call('HMGET', segment, 'fence', 'gen')
  return s[1] or s[2] and s[2] .. '@' or ''
end

-- A reshard moves the keys of a hash slot one by one, so it can lose the owners' hash but keep the segment; selling on would
-- sell to the same customers twice. `unowned` is how many units had no owner at the last inspection. Closes such a segment
-- until the next inspection, and returns its new fence; else nil. Not called where one server holds every slot.
local checked = {}
local function lost_owners(segment, owners, sold, fence)
  if sold == 0 or checked[owners] then return nil end
  checked[owners] = true
  local count = redis.pcall('HLEN', owners) -- an error when the server's ACL, of an earlier version, forbids HLEN
  if count ~= 0 or sold <= tonumber(call('HGET', segment, 'unowned') or 0) then return nil end
  fence = string.match(fence, '^.*@')
  call('HSET', segment, 'fence', fence)
  return fence
end

local function claim(segment, owners, list, index, dirty, fence, user, totals, most, prefix, member)
  local s = call('HMGET', segment, 'fence', 'left', 'last', 'state', 't0', 't1', 'sold')
  if s[1] ~= fence then return 'FENCED ' .. fence_of(segment) end
  local suspect = not index and lost_owners(segment, owners, tonumber(s[7]), fence)
  if suspect then return 'FENCED ' .. suspect end
  local left, refusal = tonumber(s[2]), nil
  if totals ~= '' then
    left, refusal = credit(segment, left, totals)
    if refusal then return refusal end
  end
  if user == '0' then
    local received, sent = hub_fields(segment)
    return format('OK %d %d %d', left, received, sent)
  end

  local starts, closes = tonumber(s[5]), tonumber(s[6])
  local over = closes > 0 and now >= closes
  local sells = left > 0 and s[4] == 'open' and now >= starts and not over and
    (most == '' or call('LLEN', list) < tonumber(most))
  local n, sold = format('%d', s[3] + 1), s[7] + 1
  if sells and call('HSETNX', owners, user, n) == 1 then
    local rest = format('%d', left - 1)
    call('HSET', segment, 'left', rest, 'last', n, 'sold', format('%d', sold))
    local waiting = call('RPUSH', list, n .. '|' .. user .. '|' .. ms)
    if index then -- pcall: a claim does not fail when an index cannot be written
      redis.pcall('ZADD', index, ms, prefix .. n)
      if waiting == 1 then redis.pcall('SADD', dirty, member) end
    end
    return 'WON ' .. n .. ' ' .. rest .. ' ' .. ms .. ' ' .. waiting
  end

  local mine = call('HGET', owners, user)
  if mine then return 'MINE ' .. mine end
  if s[4] == 'paused' then return 'PAUSED' end
  if s[4] == 'ended' then return 'ENDED' end
  if now < starts then return format('EARLY %d', starts - now) end
  if over then
    call('HSET', segment, 'state', 'ended') -- so that the sale stays ended when the clock is set back
    return 'ENDED'
  end
  if left > 0 then return 'FULL' end
  local received, sent, flag_until, epoch, its_base, its_term = hub_fields(segment)
  -- a flag that lasts longer than a second from now was set before TIME was set back
  if now < flag_until and flag_until <= now + 1000 then return 'SOLDOUT ' .. epoch end
  return format('NEED %d %d %d %d %s', received, sent, its_base, its_term, ms)
end

local count = tonumber(ARGV[1])
local keys, arguments, answers = #KEYS / count, (#ARGV - 1) / count, {}
for i = 1, count do
  local k, a = (i - 1) * keys, (i - 1) * arguments + 1
  local is_whole, answer = pcall(claim, KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], keys > 3 and KEYS[k + 4], KEYS[k + 5],
    unpack(ARGV, a + 1, a + arguments))
  answers[i] = is_whole and answer or 'BROKEN ' .. tostring(type(answer) == 'table' and answer.err or answer)
end
return answers
