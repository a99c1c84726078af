#!lua
-- Writes the descriptor of a coupon, unless the descriptor has a later generation than the call, or a later version (steer.lua)
-- of the same generation.
-- KEYS  descriptor hash
-- ARGV  generation, version, then fields and values
-- Reply {'OK'}
local d = redis.call('HMGET', KEYS[1], 'gen', 'version')
local generation, version = tonumber(d[1]) or 0, tonumber(d[2]) or 0
if generation < tonumber(ARGV[1]) or generation == tonumber(ARGV[1]) and version <= tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'gen', ARGV[1], 'version', ARGV[2], unpack(ARGV, 3))
end
return { 'OK' }
