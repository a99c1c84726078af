#!lua flags=allow-oom
-- Opens a segment in a new incarnation, once it was mended and the hub has heard of it. Numbers that a host was told and
-- that are nowhere are named lost: each is a record of nobody's on the list, and holds a unit, as far as there are any.
-- "Sold out" that was said to an earlier incarnation is worth nothing any more.
-- KEYS  segment hash, order list, owners hash
-- ARGV  fence; its base, the one with which it was mended; the new fence; the numbers that are lost, the first and the last
--       ('' and '': none)
-- Reply {'OK', numbers that are named lost}
--       {'OTHER'}            it is not as it was mended, or a number above this base was given out: nothing was done
local segment, list, base = KEYS[1], KEYS[2], ARGV[2]
local s = redis.call('HMGET', segment, 'fence', 'next', 'left', 'sold', 'last')
if s[1] ~= ARGV[1] or s[2] ~= base then return { 'OTHER' } end
if math.max(tonumber(s[5]), tonumber(ARGV[5]) or 0) > tonumber(base) then return { 'OTHER' } end
local left, sold, named = tonumber(s[3]), tonumber(s[4]), 0
if ARGV[4] ~= '' then
  local time = redis.call('TIME')
  local ms = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
  for number = math.max(tonumber(ARGV[4]), s[5] + 1), tonumber(ARGV[5]) do
    if left == named then break end
    redis.call('RPUSH', list, string.format('%d|?|%s', number, ms))
    named = named + 1
  end
end
redis.call('HSET', segment, 'left', left - named, 'sold', sold + named, 'base', base, 'last', base, 'until', 0,
  'fence', ARGV[3])
redis.call('HDEL', segment, 'next')
if redis.pcall('HLEN', KEYS[3]) == 0 then redis.call('HSET', segment, 'unowned', sold + named) end -- see claim.lua
return { 'OK', named }
