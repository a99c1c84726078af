#!lua flags=allow-oom
-- Gives a slot the state and the window that MySQL has decided, unless the slot has this version or a later one. So a late or
-- repeated call changes nothing, and {'OK', version} of at least the caller's says that no claim wins here under an earlier one.
-- A segment that has ended by time (claim.lua) opens again when a later version says so.
-- KEYS  hub or segment hash
-- ARGV  fence, version, state ('open', 'paused' or 'ended'), start and end of the sale in ms (0: none)
-- Reply {'OK', the version that the slot has now}
--       {'FENCED', fence}   the slot has another fence, or none: nothing was done
local s = redis.call('HMGET', KEYS[1], 'fence', 'version')
if s[1] ~= ARGV[1] then return { 'FENCED', s[1] } end
local version = tonumber(s[2]) or 0
if tonumber(ARGV[2]) > version then
  version = tonumber(ARGV[2])
  redis.call('HSET', KEYS[1], 'version', ARGV[2], 'state', ARGV[3], 't0', ARGV[4], 't1', ARGV[5])
end
return { 'OK', version }
