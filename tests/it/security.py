#!/usr/bin/env -S python3 -B
"""What strangers try at the front door: guessing, flooding, old tokens; and the headers of every answer."""

import base64
import collections
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

from client import Client, quote, raw
from harness import PASSWORD, claims_of, main, sign
from tap import case, every, pause, same, until

LONGEST = 4  # login_delay_s
REGISTER_BURST = CREATE_BURST = 40
SHOP = "https://shop.example"


def client_from(it, address):
    """A client with another address of this machine. Those of one /24 are one network."""
    return Client(it.port, address=address)


class Guesser:
    def __init__(self, it, name, address):
        self.client, self.name = client_from(it, address), name

    def guess(self, password="not the password"):
        return self.client.ask("POST", "/api/auth", body={"username": self.name, "password": password})

    def wrong(self, times=1):
        for _ in range(times):
            self.guess().expect(401, "wrong-login")

    def held_up(self, seconds):
        """Has to wait, and for about so long; a right password does not help."""
        for password in ("not the password", PASSWORD):
            answer = self.guess(password)
            if answer.status == 401:  # a slow machine asked when the pause was over: that began the next one
                seconds, answer = 2 * seconds, self.guess(password)
            answer.expect(429, "rate-limited")
            same(int(answer.headers["Retry-After"]) in range(1, seconds + 1), True, f"Retry-After of {answer}")
        return int(answer.headers["Retry-After"])


@case("failed logins to an account: three are free, then the pauses grow up to the longest; a right password ends them")
def growing_pauses(it):
    name = it.name("victim")
    it.register(name, "customer").expect(201)
    thief = Guesser(it, name, "127.0.1.1")
    thief.wrong(3)
    for seconds in (1, 2, LONGEST):
        began = time.monotonic()
        thief.held_up(seconds)
        until(lambda: thief.guess().status == 401, seconds + 3, "the pause ends", every=0.05)
        took = time.monotonic() - began
        assert took > seconds - 0.3, f"a pause of {seconds} s took {took:.2f} s"
    until(lambda: thief.guess(PASSWORD).status == 200, LONGEST + 3, "the right password", every=0.05)
    thief.wrong(3)
    thief.held_up(1)


@case("meanwhile the victim logs in from another network, and the thief's next address does not help him")
def no_lockout(it):
    name = it.name("victim")
    it.register(name, "customer").expect(201)
    thief = Guesser(it, name, "127.0.2.1")
    thief.wrong(3)
    thief.held_up(1)
    Guesser(it, name, "127.0.2.77").held_up(1)  # the same /24
    for _ in range(5):
        Guesser(it, name, "127.0.3.1").guess(PASSWORD).expect(200)
    if thief.guess().status == 401:  # the pause was over on a slow machine; the next one is longer
        thief.held_up(2)
    else:
        thief.held_up(1)
    Guesser(it, it.name("other"), "127.0.2.1").guess().expect(401, "wrong-login")  # another account


@case("unknown names are delayed like known ones")
def unknown_names(it):
    thief = Guesser(it, "nobody has this", "127.0.4.1")
    thief.wrong(3)
    thief.held_up(1)
    for name in ("", "x" * 240, "{}", "sk:f:{1}:0", "\n"):
        other = Guesser(it, name, "127.0.4.1")
        other.wrong(3)
        other.held_up(1)


@case("many guesses at once: no more of them are tried than one by one")
def at_once(it):
    name = it.name("victim")
    it.register(name, "customer").expect(201)
    thieves = [Guesser(it, name, "127.0.5.1") for _ in range(16)]
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        statuses = collections.Counter(pool.map(lambda thief: thief.guess().status, thieves))
    took = time.monotonic() - began
    tried = statuses[401]
    same(tried + statuses[429], 16, f"401 and 429 of {statuses}")
    most = 3 + sum(took > end for end in (1, 3, 7))  # the ends of pauses, on a slow machine
    assert 3 <= tried <= most, f"{tried} were tried in {took:.2f} s"


@case("an account under attack from everywhere: a new network has one attempt, which may be the owner's")
def everywhere(it):
    name = it.name("victim")
    it.register(name, "customer").expect(201)
    before = it.redis.keys()
    Guesser(it, name, "127.0.6.1").wrong()
    anywhere, = (key for key in it.redis.keys() - before if key.endswith(":0"))
    it.redis("INCRBY", anywhere, 100)
    for network in (7, 8, 9):
        thief = Guesser(it, name, f"127.0.{network}.1")
        thief.wrong()
        thief.held_up(LONGEST)
    for network in (10, 11):
        for _ in range(3):
            Guesser(it, name, f"127.0.{network}.1").guess(PASSWORD).expect(200)
    for key in it.redis.keys() - before:
        assert 0 < it.redis("PTTL", key) <= 900000, f"{key} stays for {it.redis('PTTL', key)} ms"


@case("refusals are counted, and cost no hashing")
def counted(it):
    thief = Guesser(it, "nobody at all", "127.0.12.1")
    thief.wrong(3)

    def limited():
        text = it.ask("GET", "/metrics").body.decode()
        return int(next(line.split()[1] for line in text.splitlines() if '_logins_total{end="rate-limited"}' in line))
    before = limited()
    thief.held_up(1)
    same(limited(), before + 2, "logins that were held up")


@case("registrations of one address are limited, those of another are not held up by it")
def registrations(it):
    flood, statuses = client_from(it, "127.0.20.1"), collections.Counter()
    for i in range(REGISTER_BURST + 10):
        answer = flood.ask("POST", "/api/users", body={"username": "", "password": "x", "kind": "x"})
        answer.expect(answer.status, "rate-limited" if answer.status == 429 else "bad-field")
        assert answer.status != 429 or int(answer.headers["Retry-After"]) >= 1, dict(answer.headers)
        statuses[answer.status] += 1
    assert 8 <= statuses[429] <= 10, statuses
    body = {"username": it.name("quiet"), "password": PASSWORD, "kind": "customer"}
    client_from(it, "127.0.21.1").ask("POST", "/api/users", body=body).expect(201)


@case("Idempotency-Key: taken on claims in any form that the contract allows, and a claim is the same with any or none")
def idempotency(it):
    sale, user = it.sale(), it.customer()

    def claim(key, method="POST", path=sale.path + "/claims"):
        return it.ask(method, path, user, headers={} if key is None else {"Idempotency-Key": key})
    order = claim("first").expect(201).json["order"]
    for key in ("first", "second", None, "", "x" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "!~"):
        same(claim(key).expect(200).json["order"], order, "order")
    same(claim("first", "PATCH", sale.path).expect(204, "already-claimed").headers["Seckill-Order"], order, "order")
    other = it.sale()
    assert claim("first", path=other.path + "/claims").expect(201).json["order"] != order  # another claim, not an error


@case("an invalid Idempotency-Key is refused, and nothing is claimed")
def bad_idempotency(it):
    sale, user = it.sale(), it.customer()
    for key in ("a b", "x" * 256, "x" * 1500, "é", b"\xff", "a\tb", "\x7f"):
        key = key.encode() if isinstance(key, str) else key
        for method, path in (("POST", sale.path + "/claims"), ("PATCH", sale.path)):
            it.ask(method, path, user, headers={"Idempotency-Key": key}).expect(400,
                                                                                "bad-request").names("Idempotency-Key")
    same(sale.claimed(), 0, "units claimed")
    it.ask("GET", sale.path, headers={"Idempotency-Key": "a b"}).expect(200)  # means nothing there


@case("a token that has expired or was logged out opens no route that asks for one")
def old_tokens(it):
    routes = [r for r in json.loads(it.ctl("routes", "--json").stdout) if r["who"] != "anyone"]
    assert len(routes) > 6, routes
    kid, key = it.token_key()

    def tried():
        user, seller = it.customer(), it.seller()
        sale = it.sale(seller)
        order = sale.win(user)
        it.ask("POST", "/api/auth/logout", seller).expect(200)
        it.ask("POST", "/api/auth/logout", user).expect(200)
        for who, own in ((user, user), (seller, seller)):
            header, claims = {"alg": "HS256", "typ": "JWT", "kid": kid}, claims_of(who.token)
            claims |= {"iat": claims["iat"] - 9999, "nbf": claims["nbf"] - 9999, "exp": int(time.time()) - 31}
            expired = sign(header, claims, key)
            for route in routes:
                path = route["path"].replace("{seller}", seller.path[11:]).replace("{user}", own.path[11:])
                path = path.replace("{name}", quote(sale.name)).replace("{no}", order)
                yield route["method"], path, expired, "expired-token"
                yield route["method"], path, who.token, "revoked-token"
    rows = list(tried())
    pause(1, "within which every worker must know of a logout")

    def refused(method, path, token, code):
        answer = it.ask(method, path, authorization="Bearer " + token, body={"add": 1}).expect(401, code)
        same(answer.headers["WWW-Authenticate"], "Bearer", "WWW-Authenticate")
    every(rows, refused)


@case("creations of one address: after a burst nginx refuses them, whichever sellers they are, and nothing but them")
def creation_limit(it):
    sellers, flood = it.users(CREATE_BURST + 5, "seller"), client_from(it, "127.0.50.1")
    answers = [flood.ask("POST", seller.path + "/coupons", seller, {}) for seller in sellers]
    same({a.status for a in answers[:CREATE_BURST]}, {400}, "the first ones")
    same(int(answers[-1].expect(429, "rate-limited").headers["Retry-After"]) >= 1, True, "Retry-After")
    flood.ask("GET", sellers[0].path + "/coupons", sellers[0]).expect(204)
    client_from(it, "127.0.51.1").ask("POST", sellers[0].path + "/coupons", sellers[0], {}).expect(400, "bad-field")


@case("keys are rotated: the old one holds while it is second, the first signs, one that was taken away opens nothing")
def rotation(it):
    path, old = it.run / "etc/token.keys", (it.run / "etc/token.keys").read_text()
    user = it.customer()

    def use(text):
        path.write_text(text)
        it.dev("stop", "hot", "cold", "auth")
        it.dev("start", "hot", "cold", "auth")

    def kid(token):
        return json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["kid"]
    fresh = "k2 " + "5a" * 32 + "\n"
    try:
        use(fresh + old)
        later = it.account(it.name("rotated"), "customer")
        same((kid(user.token), kid(later.token)), (old.split()[0], "k2"), "kids")
        for who in (user, later):
            it.ask("GET", who.path + "/coupons", who).expect(204)
            it.ask("GET", who.path + "/orders", who).expect(200)
        use(fresh)
        it.ask("GET", user.path + "/coupons", user).expect(401, "bad-token")
        it.ask("GET", user.path + "/orders", user).expect(401, "bad-token")
        it.ask("GET", later.path + "/orders", later).expect(200)
    finally:
        use(old)


@case("token_ttl_s is lowered and raised, one pool after the other: older tokens and fresh ones open both pools all the time")
def lifetimes(it):
    users = []

    def use(part, seconds):
        it.environment["SECKILL_TOKEN_TTL_S"] = str(seconds)
        it.dev("stop", part)
        it.dev("start", part)
        users.append(it.account(it.name("lifetime"), "customer"))
        for who in users:
            it.ask("GET", who.path + "/coupons", who).expect(204)
            it.ask("GET", who.path + "/orders", who).expect(200)
    gone, other = (it.account(it.name("leaver"), "customer") for _ in range(2))
    it.ask("POST", "/api/auth/logout", gone).expect(200)
    entry = next(e for e in it.redis("ZRANGE", "sk:revoked", 0, -1) if e.startswith(claims_of(gone.token)["jti"]))
    it.redis("ZADD", "sk:revoked", "XX", int(time.time() - 3000) * 1000, entry)  # it was 50 minutes ago
    before = it.environment.get("SECKILL_TOKEN_TTL_S", "43200")
    for seconds in ("600", "2592000", before):
        for part in ("hot", "cold", "auth"):
            use(part, seconds)
            it.ask("GET", gone.path + "/coupons", gone).expect(401, "revoked-token")
        if seconds == "600":
            it.ask("POST", "/api/auth/logout", other).expect(200)  # which removes what has expired
    same(it.redis("ZSCORE", "sk:revoked", entry) is not None, True, "a logout is remembered as long as its token lives")


@case("a page of an origin that is allowed claims: preflight, answer, error; of any other it gets nothing")
def other_origin(it):
    sale, user = it.sale(), it.customer()
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}

    def ask(method, origin, who=None, **more):
        answer = it.ask(method, sale.path + "/claims", who, headers={"Origin": origin} | more)
        return answer.status, answer.headers["Access-Control-Allow-Origin"]
    same(ask("OPTIONS", SHOP, **asks), (204, SHOP), "preflight")
    same(ask("POST", SHOP, user), (201, SHOP), "claim")
    same(ask("POST", SHOP), (401, SHOP), "claim without a token")
    same(ask("OPTIONS", SHOP), (405, SHOP), "OPTIONS that is no preflight")
    same(ask("OPTIONS", "https://other.example", **asks), (405, None), "another's preflight")
    same(ask("POST", "https://other.example", user), (200, None), "another's claim")


HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
           "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'"}


def has_headers(answer, cached=False):
    for name, value in HEADERS.items():
        same(answer.headers.get_all(name), [value], name)
    same(answer.headers.get_all("Cache-Control"), ["public, max-age=60" if cached else "no-store"], "Cache-Control")
    same(answer.headers["Server"], "nginx", "Server")
    same(bool(answer.headers["Content-Type"]), bool(answer.body), f"Content-Type of {answer}")
    same(len(answer.headers["X-Request-Id"]), 32, "X-Request-Id")


@case("every kind of answer has the headers: won, refused, nginx's own errors, static pages, a pool that is away")
def headers(it):
    sale, user = it.sale(), it.customer()
    for method, path, who, status in (
            ("POST", sale.path + "/claims", user, 201), ("PATCH", sale.path, user, 204), ("GET", sale.path, None, 200),
            ("GET", user.path + "/orders", user, 200), ("GET", user.path + "/orders", None, 401), ("GET", "/api/nothing",
                                                                                                   None, 404),
            ("DELETE", "/api/time", None, 405), ("POST", "/api/auth", None, 400), ("POST", "/api/users", None, 400),
            ("GET", "/nothing", None, 404), ("GET", "/metrics", None, 200), ("GET", "/readyz", None, 200), ("POST", "/",
                                                                                                            None, 405)):
        has_headers(it.ask(method, path, who).expect(status))
    has_headers(it.ask("GET", "/").expect(200), cached=True)
    has_headers(it.ask("POST", "/api/auth", body=b"x" * 17000).expect(413))
    has_headers(raw(it.port, b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n").expect(400))
    has_headers(raw(it.port, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n").expect(414))
    has_headers(raw(it.port, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9000 + b"\r\n\r\n").expect(431))
    flood = client_from(it, "127.0.40.1")
    answers = [flood.ask("POST", "/api/users", body={}) for _ in range(REGISTER_BURST + 5)]
    has_headers(answers[-1].expect(429, "rate-limited"))
    it.dev("stop", "cold")
    try:
        has_headers(it.ask("GET", "/readyz").expect(503, "busy"))
    finally:
        it.dev("start", "cold")


@case("every answer has a request id of its own; a worker's log has the same")
def request_ids(it):
    it.environment["SECKILL_DEBUG"] = "yes"
    it.restart("hot")
    sale, users = it.sale(amount=2), it.users(4)
    try:
        answers = [it.ask(method, sale.path + path, user) for user in users for method, path in (("POST", "/claims"), ("PATCH", ""))]
        answers += [it.ask(*request) for request in (("POST", sale.path + "/claims"), ("GET", sale.path), ("GET", sale.path),
                                                     ("GET", "/api/nothing"), ("GET", "/api/time"))]
        ids = [id for answer in answers for id in answer.headers.get_all("X-Request-Id")]
        same((len(ids), len(set(ids))), (len(answers), len(answers)), "ids, different ids")
        same([id for id in ids if not re.fullmatch("[0-9a-f]{32}", id)], [], "ids that are none")
        log = (it.run / "log/hot.log").read_text()
        claims = [answer for answer in answers if answer.status in (201, 410)]
        assert len(claims) >= 4, answers
        same([id for id in (answer.headers["X-Request-Id"] for answer in claims) if f"id={id} " not in log], [], "ids not in the log")
    finally:
        del it.environment["SECKILL_DEBUG"]
        it.restart("hot")


if __name__ == "__main__":
    main(SECKILL_LOGIN_DELAY=LONGEST, SECKILL_REGISTER_RATE="6r/m", SECKILL_REGISTER_BURST=REGISTER_BURST,
         SECKILL_CREATE_RATE="6r/m", SECKILL_CREATE_BURST=CREATE_BURST,
         SECKILL_PASSWORD_COST=1, SECKILL_AUTH=3, SECKILL_CORS_ORIGINS=SHOP)
