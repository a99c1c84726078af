#!lua
-- A customer claims one unit from the home segment; first, stock granted by the hub is credited.
-- KEYS  segment hash, owners hash (user -> sequence), order list
-- ARGV  fence, user (0: credit only); optionally the hub's totals for this segment: granted, taken back ('' for none);
--       and how many orders may wait on the list (without it: any number)
-- Reply {'WON', sequence, left, ms, n}  the order is on the list, as the n-th of those that wait there
--       {'MINE', sequence}              the user's order from before
--       {'FULL'}                        as many orders wait as may: nothing was done
--       {'NEED', received, sent}        nothing left here: ask the hub
--       {'SOLDOUT', epoch}              on the hub's word, under its lease
--       {'EARLY', ms to the start}  {'ENDED'}  {'PAUSED'}
--       {'OK', left, received, sent}    credit only
--       {'FENCED', fence}               it is another one here, or none: nothing was done
--       {'REGRESS'}                     this segment went back in time: nothing was done
local segment, owners, list = KEYS[1], KEYS[2], KEYS[3]
local s = redis.call('HMGET', segment, 'fence', 'left', 'n', 'state', 't0', 't1')
if s[1] ~= ARGV[1] then return { 'FENCED', s[1] } end
local left = tonumber(s[2])

local function exchanged() -- what a winner does not need
  local t = redis.call('HMGET', segment, 'I', 'O', 'until', 'epoch')
  return tonumber(t[1]), tonumber(t[2]), tonumber(t[3]), tonumber(t[4])
end

local granted = tonumber(ARGV[3])
if granted then
  local received, sent = exchanged()
  if tonumber(ARGV[4]) > sent then return { 'REGRESS' } end
  if granted > received then
    left = left + granted - received
    redis.call('HSET', segment, 'left', left, 'I', granted, 'until', 0)
  end
end

local user = ARGV[2]
if user == '0' then
  local received, sent = exchanged()
  return { 'OK', left, received, sent }
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local starts, closes, most = tonumber(s[5]), tonumber(s[6]), tonumber(ARGV[5])
local over = closes > 0 and now >= closes
local sells = left > 0 and s[4] == 'open' and now >= starts and not over and
  not (most and redis.call('LLEN', list) >= most)
local n = s[3] + 1
if sells and redis.call('HSETNX', owners, user, n) == 1 then
  redis.call('HSET', segment, 'left', left - 1, 'n', n)
  local waiting = redis.call('RPUSH', list, string.format('%d|%s|%d', n, user, now))
  return { 'WON', n, left - 1, now, waiting }
end

local mine = redis.call('HGET', owners, user)
if mine then return { 'MINE', tonumber(mine) } end
if s[4] == 'paused' then return { 'PAUSED' } end
if s[4] == 'ended' then return { 'ENDED' } end
if now < starts then return { 'EARLY', starts - now } end
if over then
  redis.call('HSET', segment, 'state', 'ended') -- a clock that goes back does not open it again
  return { 'ENDED' }
end
if left > 0 then return { 'FULL' } end
local received, sent, lease, epoch = exchanged()
if now < lease then return { 'SOLDOUT', epoch } end
return { 'NEED', received, sent }
