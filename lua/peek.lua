#!lua flags=no-writes
-- Orders of a segment that wait for MySQL, and the incarnation of the segment in which they were read.
-- KEYS  segment hash, order list
-- ARGV  how many records of the list are passed over, how many more are read
-- Reply {base, record, ...}   base: the number before the first one of this incarnation
local reply = redis.call('LRANGE', KEYS[2], ARGV[1], ARGV[1] + ARGV[2] - 1)
table.insert(reply, 1, redis.call('HGET', KEYS[1], 'base') or '0')
return reply
