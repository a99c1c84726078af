#!lua
-- The peer's claim: lua/claim.lua without refills.
-- KEYS  segment hash, owners hash (user -> sequence), order list
-- ARGV  generation, user
-- Reply {'WON', sequence}  {'MINE', sequence}  {'SOLDOUT'}  {'EARLY'}  {'ENDED'}  {'PAUSED'}  {'FENCED'}
local s = redis.call('HMGET', KEYS[1], 'gen', 'state', 't0', 't1', 'left', 'n')
if s[1] ~= ARGV[1] then return { 'FENCED' } end
local mine = redis.call('HGET', KEYS[2], ARGV[2])
if mine then return { 'MINE', tonumber(mine) } end
if s[2] == 'paused' then return { 'PAUSED' } end
if s[2] == 'ended' then return { 'ENDED' } end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now < tonumber(s[3]) then return { 'EARLY' } end
local closes = tonumber(s[4])
if closes > 0 and now >= closes then return { 'ENDED' } end
local left = tonumber(s[5])
if left <= 0 then return { 'SOLDOUT' } end
local n = s[6] + 1
redis.call('HSET', KEYS[2], ARGV[2], n)
redis.call('HSET', KEYS[1], 'left', left - 1, 'n', n)
redis.call('RPUSH', KEYS[3], string.format('%d|%s|%d', n, ARGV[2], now))
return { 'WON', n }
