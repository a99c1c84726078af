#!lua flags=allow-oom
-- Removes an unreadable record from the head of an order list, after the record has become a dead letter.
-- KEYS  order list
-- ARGV  SHA1 of the record, in hex
-- Reply 1 when the head was that record, else 0
local head = redis.call('LINDEX', KEYS[1], 0)
if not head or redis.sha1hex(head) ~= ARGV[1] then return 0 end
redis.call('LPOP', KEYS[1])
return 1
