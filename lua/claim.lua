#!lua
-- A customer claims one unit from the home segment; first, stock granted by the hub is credited.
-- KEYS  segment hash, owners hash (user -> sequence), order list
-- ARGV  generation, user (0: credit only), and optionally the hub's totals for this segment: granted, taken back
-- Reply {'WON', sequence, left, ms, n}  the order is on the list, as the n-th of those that wait there
--       {'MINE', sequence}              the user's order from before
--       {'NEED', received, sent}        nothing left here: ask the hub
--       {'SOLDOUT', epoch}              on the hub's word, under its lease
--       {'EARLY', ms to the start}  {'ENDED'}  {'PAUSED'}
--       {'OK', left, received, sent}    credit only
--       {'FENCED'}                      no such generation here: nothing was done
--       {'REGRESS'}                     this segment went back in time: nothing was done
local segment, owners, list = KEYS[1], KEYS[2], KEYS[3]
local s = redis.call('HMGET', segment, 'gen', 'state', 't0', 't1', 'left', 'n', 'I', 'O', 'until', 'epoch')
if s[1] ~= ARGV[1] then return { 'FENCED' } end
local left, received, sent = tonumber(s[5]), tonumber(s[7]), tonumber(s[8])

local granted = tonumber(ARGV[3])
if granted then
  if tonumber(ARGV[4]) > sent then return { 'REGRESS' } end
  if granted > received then
    left = left + granted - received
    received = granted
    s[9] = '0'
    redis.call('HSET', segment, 'left', left, 'I', received, 'until', 0)
  end
end

local user = ARGV[2]
if user == '0' then return { 'OK', left, received, sent } end
local mine = redis.call('HGET', owners, user)
if mine then return { 'MINE', tonumber(mine) } end
if s[2] == 'paused' then return { 'PAUSED' } end
if s[2] == 'ended' then return { 'ENDED' } end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now < tonumber(s[3]) then return { 'EARLY', tonumber(s[3]) - now } end
local closes = tonumber(s[4])
if closes > 0 and now >= closes then
  redis.call('HSET', segment, 'state', 'ended') -- a clock that goes back does not open it again
  return { 'ENDED' }
end
if left <= 0 then
  if now < tonumber(s[9]) then return { 'SOLDOUT', tonumber(s[10]) } end
  return { 'NEED', received, sent }
end

local n = s[6] + 1
redis.call('HSET', owners, user, n)
redis.call('HSET', segment, 'left', left - 1, 'n', n)
local waiting = redis.call('RPUSH', list, string.format('%d|%s|%d', n, user, now))
return { 'WON', n, left - 1, now, waiting }
