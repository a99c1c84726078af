#!lua
-- Counts a login attempt as a failure before its password is checked, so that sending many attempts at once gains nothing; or
-- returns how long the attempt has to wait. Three failures in a row from one network cost no pause, then the pauses are 1, 2,
-- 4, ... s. When an account has many failures from anywhere, each network has one attempt before the longest pause: nobody is
-- locked out.
-- KEYS  of one account: its failures from one network (hash), its failures from anywhere (number)
-- ARGV  the longest pause in ms
-- Reply 0: check the password; else ms to wait
local free, many, longest = 3, 100, tonumber(ARGV[1])
local keep = math.max(900000, 2 * longest)
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local s = redis.call('HMGET', KEYS[1], 'n', 'at')
local n, wait = tonumber(s[1] or 0) + 1, tonumber(s[2] or 0) - now
if wait > 0 and wait <= longest then return wait end
local all = redis.call('INCRBY', KEYS[2], 1)
local pause = longest
if all <= many then pause = n < free and 0 or math.min(1000 * 2 ^ (n - free), longest) end
redis.call('PEXPIRE', KEYS[2], keep)
redis.call('HSET', KEYS[1], 'n', n, 'at', now + pause)
redis.call('PEXPIRE', KEYS[1], keep)
return 0
