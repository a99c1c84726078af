-- wrk: every request is a claim of the next customer in TOKENS, a file that `seckillctl token --out` wrote.
-- TOKENS=FILE CLAIM=/api/users/SELLER/coupons/NAME/claims wrk -t1 -c64 -d5 --latency -s tests/load/claim.lua URL
-- METHOD=PATCH and a path without /claims measure the course's route.
local path, method = os.getenv("CLAIM"), os.getenv("METHOD") or "POST"
local requests, next = {}, 0

function init()
  for line in io.lines(os.getenv("TOKENS")) do
    local token = line:match("[^\t]+$")
    requests[#requests + 1] = wrk.format(method, path, { Authorization = "Bearer " .. token })
  end
end

function request()
  next = next % #requests + 1
  return requests[next]
end
