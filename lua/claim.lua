#!lua
-- Customers claim one unit each from their home segments; first, stock that the hub granted is credited. It takes a
-- batch: KEYS are those of every claim, one after the other, ARGV the number of claims and then those of every claim.
-- KEYS  segment hash, owners hash (user -> sequence), order list; and where one server holds every slot, what else a
--       winner needs: the customer's index, the set of coupons that have orders to drain
-- ARGV  fence, user (0: credit only), the hub's totals for this segment in one word: granted, taken back, and the base and
--       the term for which they are ('': none), how many orders may wait on the list ('': any number); for further KEYS:
--       the order's number up to its sequence, the coupon's member of the set
-- Reply an answer for every claim, in words:
--       WON sequence left ms n      the order is on the list, as the n-th of those that wait there
--       MINE sequence               the user's order from before
--       FULL                        as many orders wait as may: nothing was done
--       NEED received sent base term ms   nothing left here at that moment, by the clock of this server: ask the hub
--       SOLDOUT epoch               on the hub's word, under its lease, which ends within a second
--       EARLY ms (to the start)     ENDED     PAUSED
--       OK left received sent       credit only
--       FENCED fence                it is another one here, or none: nothing was done
--       REGRESS                     this segment went back in time: nothing was done
--       REPLACED                    the totals are for an earlier incarnation of the segment or of the hub: nothing was done
--       BROKEN error                what is in the slot is not what should be there
local call, format = redis.call, string.format -- numbers as text: redis.call would print them as floats
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ms = format('%d', now)

local function exchanged(segment) -- what a winner does not need
  local t = call('HMGET', segment, 'I', 'O', 'until', 'epoch', 'base', 'term')
  return tonumber(t[1]), tonumber(t[2]), tonumber(t[3]), t[4], tonumber(t[5]), tonumber(t[6])
end

-- Returns what is left then, or nil and why nothing was done.
local function credit(segment, left, totals)
  local received, sent, _, _, base, term = exchanged(segment)
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

-- For a claim that came with another one. A slot of layout 0 has none: it is in doubt, as upgrade.lua will have it.
local function fence_of(segment)
  local s = call('HMGET', segment, 'fence', 'gen')
  return s[1] or s[2] and s[2] .. '@' or ''
end

-- Keys of a slot move one by one, so servers that die meanwhile may leave a segment without its owners, and their
-- customers would be sold to once more. Units that nobody owned at the last inspection are no sign of that. Returns the
-- fence under which the segment waits for the next one.
local looked_at = {}
local function lost_owners(segment, owners, sold, fence)
  if sold == 0 or looked_at[owners] then return nil end
  looked_at[owners] = true
  local count = redis.pcall('HLEN', owners) -- an error: the server's ACL is of an earlier version
  if count ~= 0 or sold <= tonumber(call('HGET', segment, 'unowned') or 0) then return nil end
  fence = string.match(fence, '^.*@')
  call('HSET', segment, 'fence', fence)
  return fence
end

local function claim(segment, owners, list, index, dirty, fence, user, totals, most, prefix, member)
  local s = call('HMGET', segment, 'fence', 'left', 'last', 'state', 't0', 't1', 'sold')
  if s[1] ~= fence then return 'FENCED ' .. fence_of(segment) end
  local suspect = lost_owners(segment, owners, tonumber(s[7]), fence)
  if suspect then return 'FENCED ' .. suspect end
  local left, refusal = tonumber(s[2]), nil
  if totals ~= '' then
    left, refusal = credit(segment, left, totals)
    if refusal then return refusal end
  end
  if user == '0' then
    local received, sent = exchanged(segment)
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
    if index then -- indexes, never the truth: no claim fails for them
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
    call('HSET', segment, 'state', 'ended') -- a clock that goes back does not open it again
    return 'ENDED'
  end
  if left > 0 then return 'FULL' end
  local received, sent, lease, epoch, its_base, its_term = exchanged(segment)
  if now < lease and lease <= now + 1000 then return 'SOLDOUT ' .. epoch end -- else it is over, or TIME went back
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
