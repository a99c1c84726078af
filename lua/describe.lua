#!lua
-- Writes the descriptor of a coupon, unless the descriptor has a later generation than the call.
-- KEYS  descriptor hash
-- ARGV  generation, then fields and values
-- Reply {'OK'}
if (tonumber(redis.call('HGET', KEYS[1], 'gen')) or 0) <= tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'gen', ARGV[1], unpack(ARGV, 2))
end
return { 'OK' }
