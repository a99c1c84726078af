#!lua
-- Customers claim one unit each from their home segments; units that the hub granted to the segment are credited first. A
-- call has groups of claims. The claims of a group have the segment and everything else in common but their owners; they are
-- decided in their order, as if each were a call of its own, but each key is read and written once.
-- Fields of a segment: I and O, units received from the hub and sent back in all; t0 and t1, start and end of the sale in ms
-- Fields of the hub for segment i: Gi and Ri, units granted to it and taken back in all; Bi, the base that it was admitted with
-- KEYS  of each group in turn: segment hash, owners hash (owner -> sequence), order list; and where one server holds all slots,
--       the set of coupons that have orders to drain
-- ARGV  the number of groups; then of each group in turn: the number of its claims, the fence, the hub's totals for this
--       segment in one argument: granted, taken back, and the base and the term for which they hold ('': none), how many
--       orders may wait on the list ('': any number), where there is the fourth key: the coupon's member of that set; the
--       owner of each claim (0: credit only): "USER", or "USER#K" where the customer claims unit K of those that he may have
-- Reply an answer for each claim, as text:
--       WON sequence left ms n      the order is on the list, and n orders are there now
--       MINE sequence               the order that this owner has already; below 0: three orders of this owner have expired, or
--                                   were cancelled by the customer (release.lua)
--       FULL                        as many orders wait on the list as may wait: nothing was done
--       NEED received sent base term ms   no unit was left here at ms, by the clock of this server: ask the hub
--       SOLDOUT epoch               the hub declared the coupon sold out; the segment's sold-out flag lasts a second at most
--       HELD epoch pay_by ms        the same, but units may come back, the first at pay_by (0: unknown), and it is ms now
--       EARLY ms (to the start)     ENDED     PAUSED
--       OK left received sent       credit only
--       FENCED fence                the segment has another fence, or none: nothing was done
--       REGRESS                     this segment was rolled back: nothing was done
--       REPLACED                    the totals are for an earlier base or term: nothing was done
--       BROKEN error                a value here has a wrong type or is missing: no unit was sold
--       The last four are the answers to all claims of their group.
local call, format = redis.call, string.format -- numbers as text: redis.call would print them as floats
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ms = format('%d', now)

-- Fields that have to do with the hub. A winner does not need them, so they are read separately.
local function hub_fields(segment)
  local t = call('HMGET', segment, 'I', 'O', 'until', 'epoch', 'base', 'term', 'held')
  return tonumber(t[1]), tonumber(t[2]), tonumber(t[3]), t[4], tonumber(t[5]), tonumber(t[6]), t[7]
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
-- sell to the same customers twice. `unowned` is how many of the units sold have no owner: their orders are over, or unknown.
-- Closes such a segment until the next inspection, and returns its new fence; else nil. Not called where one server holds
-- every slot.
local function lost_owners(segment, owners, sold, fence)
  if sold == 0 then return nil end
  local count = redis.pcall('HLEN', owners) -- an error when the server's ACL, of an earlier version, forbids HLEN
  if count ~= 0 or sold <= tonumber(call('HGET', segment, 'unowned') or 0) then return nil end
  fence = string.match(fence, '^.*@')
  call('HSET', segment, 'fence', fence)
  return fence
end

-- The answer to claims that win nothing here, whoever asks.
local function refusal(segment, left, state, starts, is_over)
  if state == 'ended' then return 'ENDED' end
  if is_over then
    call('HSET', segment, 'state', 'ended') -- so that the sale stays ended when the clock is set back
    return 'ENDED'
  end
  if state == 'paused' then return 'PAUSED' end
  if now < starts then return format('EARLY %d', starts - now) end
  if left > 0 then return 'FULL' end
  local received, sent, flag_until, epoch, base, term, held = hub_fields(segment)
  -- a flag that lasts longer than a second from now was set before TIME was set back
  if now < flag_until and flag_until <= now + 1000 then
    return held and held ~= '' and format('HELD %s %s %s', epoch, held, ms) or 'SOLDOUT ' .. epoch
  end
  return format('NEED %d %d %d %d %s', received, sent, base, term, ms)
end

-- Decides the claims of one group, whose users are ARGV[first] to ARGV[last]. Returns their answers; or nil and the answer to
-- all of them. Whatever may have a wrong type is read before anything is written.
local function decide(segment, owners, list, dirty, fence, totals, most, member, first, last)
  local s = call('HMGET', segment, 'fence', 'left', 'last', 'state', 't0', 't1', 'sold')
  if s[1] ~= fence then return nil, 'FENCED ' .. fence_of(segment) end
  local left, number, state, starts, closes, sold = s[2] + 0, s[3] + 0, s[4], s[5] + 0, s[6] + 0, s[7] + 0
  local suspect = not dirty and lost_owners(segment, owners, sold, fence)
  if suspect then return nil, 'FENCED ' .. suspect end
  local mine_of, waiting = call('HMGET', owners, unpack(ARGV, first, last)), call('LLEN', list)
  if totals ~= '' then
    local units, problem = credit(segment, left, totals)
    if problem then return nil, problem end
    left = units
  end

  local is_over = closes > 0 and now >= closes
  local sells = state == 'open' and now >= starts and not is_over
  local room = most == '' and 1 / 0 or most - waiting
  local answers, won, owned, records, refused = {}, {}, {}, {}, nil
  for i = 1, last - first + 1 do
    local user = ARGV[first + i - 1]
    local mine = mine_of[i] or won[user]
    if user == '0' then
      local received, sent = hub_fields(segment)
      answers[i] = format('OK %d %d %d', left, received, sent)
    elseif mine then
      answers[i] = 'MINE ' .. mine
    elseif sells and left > 0 and room > #records then
      number, left = number + 1, left - 1
      local n = format('%d', number)
      won[user] = n
      owned[#owned + 1], owned[#owned + 2] = user, n
      records[#records + 1] = n .. '|' .. user .. '|' .. ms
      answers[i] = format('WON %s %d %s %d', n, left, ms, waiting + #records)
    else
      refused = refused or refusal(segment, left, state, starts, is_over)
      answers[i] = refused
    end
  end

  if #records > 0 then
    call('HSET', owners, unpack(owned))
    call('HSET', segment, 'left', format('%d', left), 'last', format('%d', number), 'sold', format('%d', sold + #records))
    call('RPUSH', list, unpack(records))
    -- pcall: a claim does not fail when the set cannot be written
    if dirty and waiting == 0 then redis.pcall('SADD', dirty, member) end
  end
  return answers
end

local groups, answers = tonumber(ARGV[1]), {}
local keys, a = #KEYS / groups, 2
for k = 0, #KEYS - keys, keys do
  local count, first = tonumber(ARGV[a]), a + keys + 1 -- a group has as many words in common as keys
  local last = first + count - 1
  local is_whole, its, for_all = pcall(decide, KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], keys > 3 and KEYS[k + 4],
    ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], first, last)
  if not is_whole then its, for_all = nil, 'BROKEN ' .. tostring(type(its) == 'table' and its.err or its) end
  for i = 1, count do answers[#answers + 1] = its and its[i] or for_all end
  a = last + 1
end
return answers
