#!lua flags=allow-oom
-- An attempt to log in was no failure: the account's network starts anew, and the account has one failure less.
-- KEYS  of one account: its failures from one network (hash), its failures from anywhere (number)
-- ARGV  none
-- Reply 1
redis.call('DEL', KEYS[1])
if tonumber(redis.call('GET', KEYS[2]) or 0) > 0 then redis.call('INCRBY', KEYS[2], -1) end
return 1
