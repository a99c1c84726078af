#!lua
-- Enters tokens that were logged out, each once. A new entry gets a higher score than all others, even when the clock was set
-- back, so a reader continues behind the last entry that it has read. The oldest entries are removed once they have expired.
-- KEYS  the set of logged-out tokens
-- ARGV  how many tokens the set may hold, for how many seconds a token is kept after it has expired, tokens as "jti:exp"
-- Reply how many of the tokens were not entered, because the set is full
local key, limit = KEYS[1], tonumber(ARGV[1])
local t = redis.call('TIME')
local gone = {}
for _, token in ipairs(redis.call('ZRANGE', key, 0, 255)) do
  if tonumber(string.match(token, ':(%d+)$') or 0) + ARGV[2] >= tonumber(t[1]) then break end
  gone[#gone + 1] = token
end
if #gone > 0 then redis.call('ZREM', key, unpack(gone)) end
local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]
local at = math.max(t[1] * 1000 + math.floor(t[2] / 1000), (tonumber(last) or 0) + 1)
local refused = 0
for i = 3, #ARGV do
  if not redis.call('ZSCORE', key, ARGV[i]) then
    if #redis.call('ZRANGE', key, limit - 1, limit - 1) > 0 then
      refused = refused + 1
    else
      redis.call('ZADD', key, at, ARGV[i])
      at = at + 1
    end
  end
end
return refused
