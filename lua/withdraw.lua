#!lua flags=allow-oom
-- Takes units off sale: what the hub has, up to what the seller has asked for. As long as more is asked for, the hub grants
-- nothing, and takes what segments return (exchange.lua). Once no unit is left anywhere, the rest is given up. All numbers are
-- totals, so a repeated call takes nothing twice, and a late one takes nothing for a request that was answered.
-- Fields of the hub: withdrawn, units taken off sale in all; asked, units that the seller has wanted back in all; missed, of
-- these, units that were given up
-- KEYS  hub hash
-- ARGV  fence, asked and missed as MySQL has them, how many candidates to name
-- Reply {'OK', withdrawn, missed}   nothing more is asked for
--       {'MORE', withdrawn, missed, term, j, Gj, Rj, Bj, ...}   more is asked for; candidates, segments that may have units, with
--                                   their totals granted and taken, and base (exchange.lua)
--       {'UNHEARD'}         the hub's server lost data, and not all segments have reported since: nothing was done
--       {'FENCED', fence}   the hub has another fence, or none: nothing was done
local hub = KEYS[1]
local h = redis.call('HMGET', hub, 'fence', 'avail', 'withdrawn', 'asked', 'missed', 'empty', 'heard', 'term', 'segments')
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
if string.find(h[7], '0', 1, true) then return { 'UNHEARD' } end
local avail, withdrawn, empty = tonumber(h[2]), tonumber(h[3]) or 0, h[6]
local asked = math.max(tonumber(h[4]) or 0, tonumber(ARGV[2]))
local missed = math.max(tonumber(h[5]) or 0, tonumber(ARGV[3]))
local units = math.min(asked - missed - withdrawn, avail)
if units > 0 then
  avail = avail - units
  withdrawn = withdrawn + units
end
local wanted = asked - missed - withdrawn
if wanted > 0 and avail == 0 and not string.find(empty, '0', 1, true) then
  missed = missed + wanted
  wanted = 0
end
redis.call('HSET', hub, 'avail', avail, 'withdrawn', withdrawn, 'asked', asked, 'missed', missed)
if wanted <= 0 then return { 'OK', withdrawn, missed } end

local reply, candidates, totals = { 'MORE', withdrawn, missed, tonumber(h[8]) }, {}, {}
for j = 0, tonumber(h[9]) - 1 do
  if #candidates >= tonumber(ARGV[4]) then break end
  if string.sub(empty, j + 1, j + 1) == '0' then
    candidates[#candidates + 1] = j
    for _, field in ipairs({ 'G', 'R', 'B' }) do totals[#totals + 1] = field .. j end
  end
end
if #candidates == 0 then return reply end
totals = redis.call('HMGET', hub, unpack(totals))
for k, j in ipairs(candidates) do
  reply[#reply + 1] = j
  local _, words = string.gsub(redis.call('HGET', hub, 'P' .. j) or '', '%S+', '') -- of promotions, as in exchange.lua
  reply[#reply + 1] = tonumber(totals[3 * k - 2]) - words / 2
  for f = 3 * k - 1, 3 * k do reply[#reply + 1] = tonumber(totals[f]) end
end
return reply
