#!lua flags=allow-oom
-- For a login attempt that throttle.lua counted as a failure and that did not fail: clears the failures from its network, and
-- subtracts one from the failures from anywhere.
-- KEYS  of one account: its failures from one network (hash), its failures from anywhere (number)
-- ARGV  none
-- Reply 1
redis.call('DEL', KEYS[1])
if tonumber(redis.call('GET', KEYS[2]) or 0) > 0 then redis.call('INCRBY', KEYS[2], -1) end
return 1
