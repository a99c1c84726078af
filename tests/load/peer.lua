-- A claim in nginx and Lua: the token's signature, times, audience and role, then one script on one segment, with the checks
-- and the shortcuts of the service: a header that was seen before is not parsed again, HMAC and the comparison are
-- OpenSSL's, connections to Redis are kept.
local ffi = require("ffi")
local cjson = require("cjson.safe")
local redis = require("nginx.redis")
local base64 = require("ngx.base64")

ffi.cdef([[
const void *EVP_sha256(void);
unsigned char *HMAC(const void *md, const void *key, int key_n, const char *text, size_t n, unsigned char *out,
  unsigned *out_n);
int CRYPTO_memcmp(const void *a, const void *b, size_t n);
]])

local mac, mac_n = ffi.new("unsigned char[64]"), ffi.new("unsigned[1]")
local sha256 = ffi.C.EVP_sha256()
local server, script, kid, key
local known_headers = {}

local M = {}

function M.configure(redis_server, sha, key_id, hex)
  server, script, kid = redis_server, sha, key_id
  key = hex:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end)
end

local function header_is_good(text)
  if known_headers[text] then return true end
  local header = cjson.decode(base64.decode_base64url(text) or "")
  known_headers[text] = type(header) == "table" and header.alg == "HS256" and header.kid == kid or nil
  return known_headers[text]
end

-- The payload of a valid token, else nil.
local function check(authorization)
  local head, payload, signature = (authorization or ""):match("^Bearer ([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
  if not head or not header_is_good(head) then return nil end
  local signed = head .. "." .. payload
  local given = base64.decode_base64url(signature)
  ffi.C.HMAC(sha256, key, #key, signed, #signed, mac, mac_n)
  if not given or #given ~= 32 or ffi.C.CRYPTO_memcmp(mac, given, 32) ~= 0 then return nil end
  local claims = cjson.decode(base64.decode_base64url(payload) or "")
  local now = ngx.time()
  if type(claims) ~= "table" or claims.iss ~= "seckill" or claims.aud ~= "seckill" or type(claims.exp) ~= "number" or
    claims.exp <= now or (claims.nbf or 0) > now then
    return nil
  end
  return claims
end

local function answer(status, body)
  ngx.status = status
  ngx.header["Content-Type"] = status < 400 and "application/json" or "application/problem+json"
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

local function problem(status, code)
  return answer(status, string.format('{"type":"about:blank","status":%d,"code":"%s","errMsg":"%s"}', status, code, code))
end

local function ask(slot, user)
  local r = redis:new()
  r:set_timeout(1000)
  if not r:connect(server) then return nil end
  local reply = r:evalsha(script, 3, "peer:" .. slot .. ":s", "peer:" .. slot .. ":o", "peer:" .. slot .. ":q", 1, user)
  if reply then r:set_keepalive(60000, 256) end
  return reply
end

local REFUSED = { SOLDOUT = { 410, "sold-out" }, ENDED = { 410, "ended" }, EARLY = { 409, "not-started" },
  PAUSED = { 409, "paused" }, FENCED = { 404, "no-such-coupon" } }

function M.claim(seller, name)
  if ngx.req.get_method() ~= "POST" then return problem(405, "method-not-allowed") end
  local token = check(ngx.var.http_authorization)
  if not token then return problem(401, "bad-token") end
  if token.kind ~= "customer" then return problem(403, "forbidden") end
  local slot = "{" .. ngx.unescape_uri(seller) .. "/" .. ngx.unescape_uri(name) .. "}"
  local reply = ask(slot, token.sub)
  if not reply then return problem(503, "unavailable") end
  local refused = REFUSED[reply[1]]
  if refused then return problem(refused[1], refused[2]) end
  local order = "1-0-" .. reply[2]
  if reply[1] == "WON" then ngx.header["Location"] = "/api/orders/" .. order end
  return answer(reply[1] == "WON" and 201 or 200, '{"errMsg":"","order":"' .. order .. '"}')
end

return M
