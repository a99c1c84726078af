#!lua flags=allow-oom
-- Removes records from the head of a waiting list's journal, after MySQL has them. Safe to repeat and to send late: they are
-- removed only while the first and the last of them are where they were read.
-- KEYS  the journal (list)
-- ARGV  how many records, the first of them, the last of them
-- Reply the number of records removed
local count = tonumber(ARGV[1])
if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[2] or redis.call('LINDEX', KEYS[1], count - 1) ~= ARGV[3] then return 0 end
redis.call('LTRIM', KEYS[1], count, -1)
return count
