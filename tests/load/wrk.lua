-- The requests of wrk, and one line of numbers at the end. In the environment:
--   METHOD and REQUEST_PATH; a %d in the path becomes 1, 2, ... COUPONS, in turn
--   TOKENS   a file of `seckillctl token --out`: every request has the token of the next customer
--   BODY     of a request
-- TOKENS=FILE METHOD=POST REQUEST_PATH=/api/users/SELLER/coupons/NAME/claims wrk -t1 -c64 -d5 -s tests/load/wrk.lua URL
local path, file, spread = os.getenv("REQUEST_PATH") or "/", os.getenv("TOKENS"), os.getenv("COUPONS")
local coupons = tonumber(spread) or 1
local tokens, before, next = {}, {}, 0

wrk.method, wrk.body = os.getenv("METHOD") or "GET", os.getenv("BODY")
if wrk.body then wrk.headers["Content-Type"] = "application/json" end
wrk.path = path

-- Requests are joined when they are sent: LuaJIT hashes a few bytes of a long string, so a hundred thousand similar ones
-- collide, and keeping them would take minutes. wrk.format is slow, too, so it is called once for each coupon.
local function read_tokens()
  for line in io.lines(file) do
    tokens[#tokens + 1] = line:match("([^\t]+)$")
  end
  for i = 1, coupons do
    before[i] = wrk.format(nil, spread and (path:gsub("%%d", i)) or path):sub(1, -3) .. "Authorization: Bearer "
  end
end

-- Without request(), wrk sends the same text each time, without calling Lua.
if file then
  function request()
    next = next % #tokens + 1
    return before[(next - 1) % coupons + 1] .. tokens[next] .. "\r\n\r\n"
  end
end

local the_thread

function setup(thread) the_thread = thread end

function init()
  if file then read_tokens() end
  cpu_before = os.clock() -- without the time of making the requests
end

-- requests; in microseconds duration, p50, p99, longest, CPU of wrk; answers that were errors, answers that did not come
function done(summary, latency)
  local e, cpu = summary.errors, os.clock() - the_thread:get("cpu_before")
  io.write(string.format("RESULT %d %d %d %d %d %d %d %d\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), latency.max, cpu * 1e6, e.status, e.connect + e.read + e.write + e.timeout))
end
