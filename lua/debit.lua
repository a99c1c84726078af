#!lua flags=allow-oom
-- A segment sends stock back towards the hub, or only reports what it holds.
-- KEYS  segment hash
-- ARGV  fence, 1 to send back all that is left or 0 to report
-- Reply {'OK', left, received, sent}    totals after the debit
--       {'FENCED', fence}               it is another one here, or none: nothing was done
local s = redis.call('HMGET', KEYS[1], 'fence', 'left', 'I', 'O')
if s[1] ~= ARGV[1] then return { 'FENCED', s[1] } end
local left, sent = tonumber(s[2]), tonumber(s[4])
if ARGV[2] == '1' and left > 0 then
  local units = left
  left = 0
  sent = sent + units
  redis.call('HSET', KEYS[1], 'left', left, 'O', sent)
end
return { 'OK', left, tonumber(s[3]), sent }
