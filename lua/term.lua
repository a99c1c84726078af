#!lua flags=allow-oom
-- The hub begins a new term, because its server may have lost writes. Until every segment has reported to it in this term
-- it grants nothing and says nothing (exchange.lua). Workers may keep the word "sold out" from before: see supply.lua.
-- Epochs of a term begin above those of the terms before it, which may be forgotten here.
-- KEYS  hub hash
-- ARGV  the fence expected, the new one, the term as MySQL has counted it, 1 where the hub may have forgotten that it said
--       "sold out" less than 0.6 s ago: not on a single server, which takes longer to come back
-- Reply {'OK', epoch}
--       {'REPLACED', term}   there is a term as late as this one: nothing was done
--       {'FENCED', fence}    it is another one here, or none: nothing was done
local h = redis.call('HMGET', KEYS[1], 'fence', 'term', 'segments', 'sold_out', 'opening')
local term = tonumber(ARGV[3])
if h[1] ~= ARGV[1] then return { 'FENCED', h[1] } end
if tonumber(h[2]) >= term then return { 'REPLACED', tonumber(h[2]) } end
local opening = (ARGV[4] == '1' or h[4] == '1' or h[5] == '1') and 1 or 0
local none = string.rep('0', tonumber(h[3]))
local epoch = term * 2 ^ 20
redis.call('HSET', KEYS[1], 'term', term, 'heard', none, 'empty', none, 'sold_out', 0, 'epoch', string.format('%d', epoch),
  'opening', opening, 'fence', ARGV[2])
return { 'OK', epoch }
