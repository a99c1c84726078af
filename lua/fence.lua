#!lua flags=allow-oom
-- Changes the fence of a slot, when it is the one expected, or whichever, but one of a later generation.
-- KEYS  hub or segment hash
-- ARGV  the fence expected ("": whichever, also none), the new one
-- Reply {'OK'}              it is the new one now
--       {'FENCED', fence}   it is another one: nothing was done
local function generation(fence) return tonumber(string.match(fence or '', '^%d+')) or 0 end
local s = redis.call('HMGET', KEYS[1], 'fence', 'gen')
local fence, old = s[1], s[2]
if fence ~= ARGV[2] then
  local is_later = generation(fence or old) > generation(ARGV[2])
  if is_later or ARGV[1] ~= '' and fence ~= ARGV[1] then return { 'FENCED', fence } end
  redis.call('HSET', KEYS[1], 'fence', ARGV[2])
  if old then redis.call('HDEL', KEYS[1], 'gen') end -- scripts of layout 0 look for it alone
end
return { 'OK' }
