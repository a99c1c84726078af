#!lua flags=allow-oom
-- Compare-and-set of the fence of a slot. A fence of a later layout or generation is never replaced.
-- KEYS  hub or segment hash
-- ARGV  the fence expected ("": any, or none), the new one
-- Reply {'OK'}              the slot has the new fence now
--       {'FENCED', fence}   the slot has another fence than expected: nothing was done
local function layout_and_generation(fence)
  local layout, generation = string.match(fence, '^(%d+):(%d+)')
  return tonumber(layout or 1), tonumber(generation or string.match(fence, '^%d+') or 0)
end
local fence = redis.call('HGET', KEYS[1], 'fence')
if fence ~= ARGV[2] then
  local layout, generation = layout_and_generation(fence or '')
  local new_layout, new_generation = layout_and_generation(ARGV[2])
  local is_later = layout > new_layout or generation > new_generation
  if is_later or ARGV[1] ~= '' and fence ~= ARGV[1] then return { 'FENCED', fence } end
  redis.call('HSET', KEYS[1], 'fence', ARGV[2])
end
return { 'OK' }
