#!lua flags=allow-oom
-- Brings a slot of layout 0, which had a generation and no fence, to layout 1. Its fence names no life of a server, so
-- that an inspection looks at the slot before anything is sold from it. Safe to repeat.
-- KEYS  hub or segment hash
-- ARGV  none
-- Reply the fence that the slot has now; nil when there is no slot
local s = redis.call('HMGET', KEYS[1], 'fence', 'gen')
if s[1] or not s[2] then return s[1] end
local fence = s[2] .. '@'
redis.call('HSET', KEYS[1], 'fence', fence)
redis.call('HDEL', KEYS[1], 'gen')
return fence
