#!lua flags=no-writes
-- Looks for an order that MySQL does not have.
-- KEYS  segment hash, owners hash (owner -> number), order list
-- ARGV  fence, the order's number, a user
-- Reply {1 when the segment has this fence, else 0; its fence; the record of that number on the list; for which of the
--        user's units the owners have that number; the highest number that was given out here; the base}   '' for each
--       value that is missing
local wanted = tonumber(ARGV[2])
local function at(index)
  local record = redis.call('LINDEX', KEYS[3], index)
  return record, record and tonumber(string.match(record, '^(%d+)|'))
end

-- Numbers above one base have no gap, so the record is usually as far behind the first one as its number is above; else
-- binary search. Records that cannot be read are skipped.
local function find()
  local length = redis.call('LLEN', KEYS[3])
  local _, first = at(0)
  if first and first <= wanted and wanted - first < length then
    local record, number = at(wanted - first)
    if number == wanted then return record end
  end
  local low, high = 0, length
  while low < high do
    local middle = math.floor((low + high) / 2)
    local place = middle
    local record, number = at(place)
    while not number and place + 1 < high do
      place = place + 1
      record, number = at(place)
    end
    if number == wanted then return record end
    if number and number < wanted then low = place + 1 else high = middle end
  end
end

-- Usually the first unit.
local function unit()
  local user, words = ARGV[3], {}
  if redis.call('HGET', KEYS[2], user) == ARGV[2] then return 1 end
  for k = 2, 100 do words[k - 1] = user .. '#' .. k end
  for k, number in ipairs(redis.call('HMGET', KEYS[2], unpack(words))) do
    if number == ARGV[2] then return k + 1 end
  end
end

local s = redis.call('HMGET', KEYS[1], 'fence', 'last', 'base')
return { s[1] == ARGV[1] and 1 or 0, s[1] or '', find() or '', unit() or '', s[2] or '', s[3] or '' }
