#!lua flags=allow-oom
-- Completes a waiting list after its hub, or a segment, may have lost writes. Until then `waits` is not 1, and nobody joins,
-- leaves or is promoted. First of all, entries of promotions that cannot be done any more (Vi) are put back.
-- Fields of the hub: see promote.lua; waits rises with each loss that may have touched the list
-- KEYS  hub hash, waiting list (sorted set: owner -> ticket)
-- ARGV  fence; the value of waits for which the list is whole after this call ('': it is not whole yet); in one argument, of each
--       entry "what owner ticket": what to do with it (? only to look, + to put it back unless it waits or is promoted, - to
--       remove it)
-- Reply {'OK', waits, how many wait, ticket of each entry with ? that neither waits nor is outstanding, ...}
--       {'NOLIST'}          the coupon has no waiting list
--       {'FENCED', fence}   the hub has another fence, or none: nothing was done
local hub, list = KEYS[1], KEYS[2]
local h = redis.call('HMGET', hub, 'fence', 'segments', 'queue', 'waits', 'ticket')
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
if not h[3] then return { 'NOLIST' } end
local fields, promoted, last, void = {}, {}, tonumber(h[5]), false
for _, field in ipairs({ 'V', 'P' }) do
  for j = 0, h[2] - 1 do fields[#fields + 1] = field .. j end
end
for k, text in ipairs(redis.call('HMGET', hub, unpack(fields))) do
  for ticket, owner in string.gmatch(text or '', '(%d+) (%S+)') do
    if k > tonumber(h[2]) then
      promoted[owner] = ticket
    else
      redis.call('ZADD', list, ticket, owner)
      void = true
    end
  end
end
if void then redis.call('HDEL', hub, unpack(fields, 1, tonumber(h[2]))) end
local absent = {}
for what, owner, digits in string.gmatch(ARGV[3], '(%S) (%S+) (%d+)') do
  local ticket = tonumber(digits)
  local is_out = tonumber(promoted[owner]) == ticket
  local score = tonumber(redis.call('ZSCORE', list, owner))
  if what == '-' and score == ticket then redis.call('ZREM', list, owner) end
  if what ~= '-' and not is_out and not score then
    if what == '+' then redis.call('ZADD', list, digits, owner) else absent[#absent + 1] = ticket end
  end
  last = math.max(last, ticket)
end
local queue, waits = redis.call('ZCARD', list), h[4]
if waits == ARGV[2] then waits = '1' end
redis.call('HSET', hub, 'queue', queue, 'waits', waits, 'ticket', string.format('%d', last))
return { 'OK', tonumber(waits), queue, unpack(absent) }
