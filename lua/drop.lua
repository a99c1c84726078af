#!lua flags=allow-oom
-- Takes an unreadable record off the head of an order list, once it is safe in the dead letters.
-- KEYS  order list
-- ARGV  the record's bytes
-- Reply 1 when the head was that record, else 0
if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[1] then return 0 end
redis.call('LPOP', KEYS[1])
return 1
