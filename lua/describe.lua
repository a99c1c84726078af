#!lua
-- Writes what everybody may know of a coupon. One that was read before a recovery and comes after it changes nothing.
-- KEYS  descriptor hash
-- ARGV  generation, then fields and values
-- Reply {'OK'}
if (tonumber(redis.call('HGET', KEYS[1], 'gen')) or 0) <= tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'gen', ARGV[1], unpack(ARGV, 2))
end
return { 'OK' }
