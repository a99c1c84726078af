#!lua flags=no-writes
-- Reads orders of a segment that wait for MySQL, and the base of the segment.
-- KEYS  segment hash, order list
-- ARGV  how many records of the list to skip, how many to read
-- Reply {base, record, ...}
local reply = redis.call('LRANGE', KEYS[2], ARGV[1], ARGV[1] + ARGV[2] - 1)
table.insert(reply, 1, redis.call('HGET', KEYS[1], 'base') or '0')
return reply
