#!lua flags=allow-oom
-- A segment sends stock back towards the hub, or only reports what it holds.
-- KEYS  segment hash
-- ARGV  fence, 1 to send back all that is left or 0 to report, the hub's term ('': the segment learns of no new one)
-- Reply {'OK', left, received, sent, base, term}    totals after the debit
--       {'FENCED', fence}               it is another one here, or none: nothing was done
local s = redis.call('HMGET', KEYS[1], 'fence', 'left', 'I', 'O', 'base', 'term')
if s[1] ~= ARGV[1] then return { 'FENCED', s[1] } end
local left, received, sent, base, term = s[2] + 0, s[3] + 0, s[4] + 0, s[5] + 0, s[6] + 0 -- all are there, or nothing is done
if ARGV[2] == '1' and left > 0 then
  local units = left
  left = 0
  sent = sent + units
  redis.call('HSET', KEYS[1], 'left', left, 'O', sent)
end
if (tonumber(ARGV[3]) or 0) > term then
  term = tonumber(ARGV[3])
  redis.call('HSET', KEYS[1], 'term', term)
end
return { 'OK', left, received, sent, base, term }
