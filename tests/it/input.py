#!/usr/bin/env -S python3 -B
"""Bad input: the answer names the error, nothing changes, and no worker dies."""

import hashlib
import json
import sys
import time
import unicodedata

from client import quote, raw
from harness import PASSWORD, POOLS, User, claims_of, main, sign
from orderlife import Provider, key_file, new_secret
from stores import literal
from tap import case, every, same

ACCOUNT = {"username": "somebody", "password": PASSWORD, "kind": "customer"}
COUPON = {"name": "c", "amount": 10, "stock": 5, "description": "d"}
MESSAGE = {"type": "payment.succeeded", "data": {"payment": "p", "amount": 5, "currency": "EUR"}}
KEY = new_secret()

# Bodies that are not JSON objects, for every route that reads one.
NO_OBJECTS = {
    "empty": b"", "blank": b" ", "a word": b"hello", "a string": b'"x"', "a number": b"1", "null": b"null",
    "true": b"true", "a fraction": b"1.5", "a byte order mark": b"\xef\xbb\xbf{}", "an incomplete number": b'{"x": 1.}',
    "a number with a point in front": b'{"x": -.5}', "nine levels": b'{"x":' + b"[" * 8 + b"1" + b"]" * 8 + b"}",
    "a list": b"[]", "half an object": b'{"name": "x"', "half a string": b'{"name": "x',
    "a stray comma": b'{"name": "x",}', "single quotes": b"{'name': 'x'}",
    "a comment": b'{"name": "x" /* y */}', "a bare name": b'{name: "x"}', "two objects": b"{} {}",
    "text behind": b'{"name": "x"} y', "a NUL": b'{"name":\0"x"}', "a NUL behind": b"{}\0",
    "a line break in a string": b'{"name": "a\nb"}', "a form": b"name=x&amount=1",
    "UTF-16": '{"name":"x"}'.encode("utf-16"), "invalid UTF-8": b'{"name": "\xff"}',
    "an overlong character": b'{"name": "\xc0\x80"}', "a surrogate in UTF-8": b'{"name": "\xed\xa0\x80"}',
    "deep lists": b'{"x":' + b"[" * 300 + b"]" * 300 + b"}",
    "deep objects": b'{"x":' * 300 + b"1" + b"}" * 300, "a bad escape": b'{"name": "\\x41"}',
    "a short escape": b'{"name": "\\u12"}',
}

# Values that are wrong for every field of a type, as JSON text.
NOT_TEXTS = ["1", "0", "1.5", "true", "false", "null", "[]", '["x"]', "{}", '{"a": 1}', "NaN", "Infinity"]
NOT_INTS = ['"1"', '"12abc"', '""', "1.5", "1.", ".5", "15e-1", "1e10", "1e400", "-1e400", "NaN", "Infinity", "-Infinity",
            "true", "false", "null", "[]", "[1]", "{}", "-1", "1000000001", "2147483648", "4294967297",
            "9223372036854775807", "9223372036854775808", "18446744073709551617", "-9223372036854775809",
            "1" + "0" * 300]
BAD_NAMES = ['""', '"."', '".."', '"a/b"', '"/"', '"a\\u0000b"', '"\\u0000"', '"a\\nb"', '"a\\tb"', '"\\u007f"', '"\\u0085"',
             '"\\u2028"', '"\\u202e"', '"\\ud800"', '"\\udc00x"', '"' + "a" * 61 + '"', '"' + "é" * 61 + '"',
             '"' + "a" * 4000 + '"']


def state(it):
    """The state that bad input must not change."""
    tables = ("users", "coupons", "orders", "drain_cursors", "dead_letters")
    counts = it.sql("SELECT " + ", ".join(f"(SELECT COUNT(*) FROM {t})" for t in tables))[0]
    keys = it.redis.keys() - {"sk:dirty"}  # drainers remove entries at any time
    return counts, sorted(keys), [it.workers(part) for part in POOLS]


def unchanged(check):
    """A case that changes no state and kills no process."""
    def run(it):
        before = state(it)
        check(it)
        same(state(it), before, "rows, keys, workers")
        it.ask("GET", "/healthz").expect(200)
        it.log_in("judge").expect(200)
    return run


def with_field(body, field, text):
    """The body as JSON text, with the value of one field replaced by any text."""
    rest = {name: value for name, value in body.items() if name != field}
    start = json.dumps(rest, ensure_ascii=False)[:-1] + (", " if rest else "")
    return f'{start}"{field}": {text}}}'.encode("utf-8", "surrogatepass")


def routes(it):
    return json.loads(it.ctl("routes", "--json").stdout)


class Asker:
    """A route that reads a body, a valid one, and how long a body may be."""

    def __init__(self, it, route, path, valid, user=None):
        self.path, self.valid, self.user, self.method = path, valid, user, route.split(" ")[0]
        self.limit = next(r["body_limit"] for r in routes(it) if f"{r['method']} {r['path']}" == route)

    def post(self, it, body):
        return it.ask(self.method, self.path, self.user, body)

    def __repr__(self):
        return self.path

    def refuses(self, it, body, status, code, word=None):
        try:
            answer = self.post(it, body).expect(status, code)
            if word:
                answer.names(word)
        except AssertionError as problem:
            raise AssertionError(f"{self.path} {body[:200]!r}: {problem}") from None


class Signed(Asker):
    """A payment provider's message."""

    def post(self, it, body):
        return it.ask(self.method, self.path, self.user, body, headers=Provider(it, KEY).headers(body))


def askers(it):
    if not hasattr(it, "askers"):
        judge = it.account("judge", "saler")
        it.target, it.buyer = it.sale(judge, "target"), it.customer()
        path = "/api/orders/" + it.target.win(it.customer())
        it.target.drained()
        login = {"username": "judge", "password": PASSWORD}
        it.askers = {"users": Asker(it, "POST /api/users", "/api/users", ACCOUNT),
                     "auth": Asker(it, "POST /api/auth", "/api/auth", login),
                     "coupons": Asker(it, "POST /api/users/{seller}/coupons", judge.path + "/coupons", COUPON, judge),
                     "stock": Asker(it, "PATCH /api/users/{seller}/coupons/{name}/stock", it.target.path + "/stock",
                                    {"add": 5}, judge),
                     "cancel": Asker(it, "DELETE /api/orders/{no}", path, {"reason": "r"}, judge),
                     "payment": Signed(it, "POST /api/orders/{no}/payment", path + "/payment", MESSAGE)}
        it.choosers = [Asker(it, "POST /api/users/{seller}/coupons/{name}/claims", it.target.path + "/claims", {"unit": 1}, it.buyer),
                       Asker(it, "PATCH /api/users/{seller}/coupons/{name}/sale", it.target.path + "/sale", {"withdraw": 1}, judge)]
    return it.askers


def choosers(it):
    """Routes whose bodies have only optional fields."""
    askers(it)
    return it.choosers


@case("setup; every route that reads a body is tried below")
def stage(it):
    same(len(askers(it)) + len(choosers(it)), sum(1 for r in routes(it) if r["body_limit"]), "routes that read a body")


@case("bodies that are not JSON objects: 400 bad-json")
@unchanged
def no_objects(it):
    for asker in askers(it).values():
        every(list(NO_OBJECTS.items()), lambda what, body: asker.refuses(it, body, 400, "bad-json"))
    for asker in choosers(it):
        every([row for row in NO_OBJECTS.items() if row[1]], lambda what, body: asker.refuses(it, body, 400, "bad-json"))


@case("a missing field is named")
@unchanged
def missing(it):
    for asker in askers(it).values():
        for field in asker.valid:
            body = {name: value for name, value in asker.valid.items() if name != field}
            asker.refuses(it, json.dumps(body).encode(), 400, "bad-field", field)
        asker.refuses(it, b"{}", 400, "bad-field", next(iter(asker.valid)))


@case("a field of the wrong type: 400 names it, or says that the body is not JSON")
@unchanged
def wrong_types(it):
    for asker in (*askers(it).values(), *choosers(it)):
        for field, value in asker.valid.items():
            for text in NOT_TEXTS if isinstance(value, str) else NOT_INTS:
                if text == "null" and asker in choosers(it):  # means absent
                    continue
                answer = asker.post(it, with_field(asker.valid, field, text))
                assert answer.status == 400, f"{field} {text}: {answer}"
                answer.expect(400)
                if answer.code != "bad-json":  # NaN and the like are not JSON
                    same(answer.code, "bad-field", f"{field} {text}")
                    answer.names(field)


@case("optional fields of a coupon: likewise")
@unchanged
def optional_fields(it):
    coupons = askers(it)["coupons"]
    for field in ("segments", "pay_within"):
        for text in NOT_INTS:
            if text == "null":  # means absent
                continue
            answer = coupons.post(it, with_field(COUPON, field, text)).expect(400)
            assert answer.code == "bad-json" or field in answer.json["detail"], f"{field} {text}: {answer}"
    for text in ("0", "257"):
        coupons.refuses(it, with_field(COUPON, "segments", text), 400, "bad-field", "segments")
    for text in NOT_INTS:
        if text not in ("null", "1e10", "1000000001", "2147483648", "4294967297"):
            coupons.refuses(it, with_field(COUPON | {"currency": "EUR"}, "price", text), 400, None)
    coupons.refuses(it, with_field(COUPON | {"currency": "EUR"}, "price", "1000000000001"), 400, "bad-field", "price")
    for text in ['"true"', '"yes"', "1", "0", "[]", "{}", '""']:
        coupons.refuses(it, with_field(COUPON, "late_payment", text), 400, "bad-field", "late_payment")
    for field in ("starts_at", "ends_at"):
        for text in ["1", "true", "[]", '""', '"now"', '"2030-01-01"', '"2030-01-01T00:00:00"',
                     '"2030-13-01T00:00:00Z"', '"2030-02-30T00:00:00Z"', '"2030-01-01T25:00:00Z"',
                     '"2030-01-01T00:00:00Zx"', '"2030-1-1T0:0:0Z"', '"9999999-01-01T00:00:00Z"',
                     '"2030-01-01T00:00:00.5.5Z"', '"' + "2" * 100 + '"']:
            coupons.refuses(it, with_field(COUPON, field, text), 400, "bad-field", field)
    for window in ({"ends_at": "2020-01-01T00:00:00Z"},
                   {"starts_at": "2035-01-02T00:00:00Z", "ends_at": "2035-01-01T00:00:00Z"},
                   {"starts_at": "2035-01-01T00:00:00Z", "ends_at": "2035-01-01T00:00:00Z"}):
        coupons.refuses(it, json.dumps(COUPON | window).encode(), 400, "bad-field", "ends_at")


CHECKOUT = "https://shop.example/pay?order={order}"
BAD_CURRENCIES = ['""', '"EU"', '"EURO"', '"eur"', '"E R"', '"E1R"', '"\u00c9UR"', '"EU\\n"', "1", "true", "[]"]
BAD_CHECKOUTS = ["", "{order}", "/pay/{order}", "//shop.example/{order}", "ftp://shop.example/{order}", "javascript:alert('{order}')",
                 "data:text/html,{order}", "HTTPS:shop.example/{order}", "https:{order}", "https:///{order}", "https://?{order}",
                 "https://#{order}", "https://", "https://shop.example/", "https://shop.example/{ORDER}", "https://shop.example/{order",
                 "https://shop.example/%7Border%7D", "https://shop.example/ {order}", "https://shop.example/{order}\n",
                 "https://shop.example/{order}\r\nSet-Cookie: a=b", "https://shop.example/{order}\t", "https://shop.example/{order}\x7f",
                 "https://shop.example/{order}\u0085", "https://shop.example/{order}\u202e", "https://sh\u00f6p.example/{order}",
                 "https://shop.example/{order}\"><script>", "https://shop.example/{order}\\x", " https://shop.example/{order}",
                 "https://shop.example/{order}/{other}", "https://shop.example/{order}/" + "x" * 1972]


@case("prices without a currency, currencies and addresses that are none: the field is named")
@unchanged
def bad_prices(it):
    coupons = askers(it)["coupons"]
    for price in ("1", "500", "1000000000000"):
        coupons.refuses(it, with_field(COUPON, "price", price), 400, "bad-field", "currency")
    for text in BAD_CURRENCIES:
        for price in (0, 500):
            coupons.refuses(it, with_field(COUPON | {"price": price}, "currency", text), 400, "bad-field", "currency")
    for url in ("https://{order}.x/", "https://a{order}.x/{order}"):
        coupons.refuses(it, json.dumps(COUPON | {"checkout_url": url}).encode(), 400, "bad-field", "behind its host")
    for url in BAD_CHECKOUTS:
        coupons.refuses(it, json.dumps(COUPON | {"checkout_url": url}).encode(), 400, "bad-field", "checkout_url")
    for text in ("1", "true", "[]", "{}"):
        coupons.refuses(it, with_field(COUPON, "checkout_url", text), 400, "bad-field", "checkout_url")


@case("numbers out of bounds: the field is named")
@unchanged
def bounds(it):
    coupons = askers(it)["coupons"]
    for field, texts in {"amount": ["0", "-1", "1000000001"], "stock": ["-1", "1000000001"]}.items():
        for text in texts:
            coupons.refuses(it, with_field(COUPON, field, text), 400, "bad-field", field)
    for text in ("0", "-5", "1000000000", "999999991"):
        askers(it)["stock"].refuses(it, with_field({}, "add", text), 400, "bad-field", "add")
    coupons.refuses(it, with_field(COUPON, "description", json.dumps("x" * 2001)), 400, "bad-field", "description")


@case("invalid names: empty, too long, slashes, control characters, invalid UTF-8")
@unchanged
def bad_names(it):
    def refused(key, field, text):
        asker = askers(it)[key]
        answer = asker.post(it, with_field(asker.valid | {"kind": "saler"}, field, text)).expect(400)
        assert answer.code == "bad-json" or field in answer.json["detail"], answer
    fields = (("users", "username"), ("coupons", "name"))
    every([(key, field, text) for key, field in fields for text in BAD_NAMES], refused)


@case("invisible names and invisible characters in names: refused for new names, and named")
@unchanged
def invisible_names(it):
    noncharacters = [*range(0xfdd0, 0xfdf0), *(plane << 16 | last for plane in range(17) for last in (0xfffe, 0xffff))]
    formats = [c for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c)) == "Cf"]
    fillers = [0x34f, 0x115f, 0x1160, 0x17b4, 0x180b, 0x3164, 0xfe0f, 0xffa0, 0xe0fff]
    blanks = [c for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c)) == "Zs"]

    def refused(key, field, name):
        asker = askers(it)[key]
        asker.refuses(it, json.dumps(asker.valid | {field: name}).encode(), 400, "bad-field", field)
    names = [f"a{chr(c)}" for c in noncharacters + formats + fillers] + [chr(c) for c in blanks] + ["  ", "\u2800"]
    every([("users", "username", name) for name in names], refused)
    every([("coupons", "name", name) for name in names[::7] + names[-4:]], refused)


@case("names that are older than that rule still work: log in, list, read, claim")
def old_names(it):
    name, old = it.name("old"), "old\u200bname"
    it.register(name, "saler").expect(201)
    it.sql(f"UPDATE users SET name = {literal(old)} WHERE name = {literal(name)}")
    token = it.log_in(old).expect(200).headers["Authorization"]
    seller = User(old, claims_of(token)["sub"], token)
    it.ask("GET", seller.path + "/coupons", seller).expect(204)
    sale = it.sale(seller)
    it.ask("GET", seller.path + "/coupons", it.buyer).expect(200)
    sale.win(it.buyer)
    sale.drained()
    same(sale.read()["left"], 9, "units left")


@case("a field that is given twice, also with escapes, is refused and named")
@unchanged
def doubles(it):
    def refused(asker, field, name):
        body = f'{json.dumps(asker.valid)[:-1]}, "{name}": {json.dumps(asker.valid[field])}}}'
        asker.refuses(it, body.encode(), 400, "bad-field", field)
    every([(asker, field, name) for asker in askers(it).values() for field in asker.valid
           for name in (field, f"\\u{ord(field[0]):04x}" + field[1:])], refused)


@case("unknown kinds, passwords that are too short or too long")
@unchanged
def accounts(it):
    users = askers(it)["users"]
    for kind in ("", "admin", "Customer", "customer ", "customer\\u0000", "buyer", "x" * 100):
        users.refuses(it, with_field(ACCOUNT, "kind", f'"{kind}"'), 400, "bad-field", "kind")
    for password in ("", "12345", "x" * 129, "é" * 65, "x" * 3000):
        users.refuses(it, with_field(ACCOUNT, "password", f'"{password}"'), 400, "bad-field", "password")
    users.refuses(it, with_field(ACCOUNT, "password", '"abc\\u0000defg"'), 400, "bad-field", "password")


@case("bodies that are too large: 413, by the service and by nginx, with and without a length")
@unchanged
def too_large(it):
    for asker in askers(it).values():
        asker.refuses(it, b" " * (asker.limit - 2) + b"{}", 400, "bad-field")
        for size in {asker.limit + 1, 16384, 16385, 65537}:
            if size > asker.limit:
                asker.refuses(it, b" " * (size - 2) + b"{}", 413, "too-large")
    post = b"POST /api/users HTTP/1.1\r\nHost: x\r\n"
    for length in (10**6, 10**12, 2**63 - 1):
        raw(it.port, post + b"Content-Length: %d\r\n\r\n" % length).expect(413, "too-large")
    for length in (b"-1", b"x", b"99999999999999999999999", b"1, 1"):
        raw(it.port, post + b"Content-Length: " + length + b"\r\n\r\n").expect(400, "bad-request")
    chunks = b"".join(b"1000\r\n" + b" " * 4096 + b"\r\n" for _ in range(5)) + b"0\r\n\r\n"
    raw(it.port, post + b"Transfer-Encoding: chunked\r\n\r\n" + chunks).expect(413, "too-large")


@case("a body is skipped where none is read, also a large one")
def skipped_body(it):
    for size in (1, 16000):
        user = it.customer()
        it.ask("PATCH", it.target.path, user, b"\xff" * size).expect(201)
        it.target.claim(user).expect(200)
    it.target.drained()


@case("paths that do not exist: 404")
@unchanged
def no_paths(it):
    api = ("/api", "/api/", "/api/x", "/api/users/a", "/api/users/a/b", "/api/users/a/coupons/b/c", "/api/orders",
           "/api/users/a/coupons/b/claims/c", "/api/auth/x", "/api/" + "a/" * 20, "/api/Users", "/api/time/x",
           "/api/coupons")
    static = ("/API/users", "/healthz/x", "/nothing", "/.git/config", "/.problem/400", "/index.html/")  # GET only
    every([(method, path) for path in api for method in ("GET", "POST")] + [("GET", path) for path in static],
          lambda method, path: it.ask(method, path, it.buyer).expect(404, "not-found"))
    for no in ("x", "1", "1-2", "1-0-0", "0-0-1", "1-256-1", "1--1-1", "1-0-1-1", "99999999999999999999-0-1", "1-0-1x",
               "%31-0-2147483648", f"{it.target.id}-0-999999", "999999-0-1"):
        it.ask("GET", f"/api/orders/{no}", it.buyer).expect(404, "no-such-order")


@case("wrong methods: 405, and Allow has the right ones")
@unchanged
def wrong_methods(it):
    allowed = {}
    for route in routes(it):
        path = route["path"]
        for part, value in {"{seller}": "judge", "{user}": "judge", "{name}": "target", "{no}": "1-0-1"}.items():
            path = path.replace(part, value)
        methods = allowed.setdefault(path, set())
        methods |= {"GET", "HEAD"} if route["method"] == "GET" else {route["method"]}

    def refused(path, method):
        answer = it.ask(method, path, it.buyer)
        same((answer.status, set(answer.headers["Allow"].split(", "))), (405, allowed[path]), "status and Allow")
        if method != "HEAD":
            answer.expect(405, "method-not-allowed")
    methods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "LOCK"}
    every([(path, method) for path in allowed for method in methods - allowed[path]], refused)


@case("malformed request lines: 400")
@unchanged
def request_lines(it):
    for line in (b"GET", b"get /api/time HTTP/1.1", b"GET api/time HTTP/1.1", b"GET /api/\0 HTTP/1.1",
                 b"G T /api/time HTTP/1.1", b"GET /%zz HTTP/1.1", b"GET /api/users/%2/coupons HTTP/1.1",
                 b"GET /api/users/%00/coupons HTTP/1.1", b"GET /api/users/a%/coupons HTTP/1.1",
                 b"GET /../../etc/passwd HTTP/1.1"):
        answer = raw(it.port, line + b"\r\nHost: x\r\n\r\n")
        assert answer.status == 400, f"{line}: {answer}"
        answer.expect(400, "bad-request")
    for headers in (b"Host: x\r\nHost: y", b"Host: x\r\nContent-Length: 1\r\nContent-Length: 1",
                    b"Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
                    b"Authorization: a\r\nHost: x\r\nAuthorization: b"):
        answer = raw(it.port, b"POST /api/auth HTTP/1.1\r\n" + headers + b"\r\n\r\n")
        assert answer.status == 400, f"{headers}: {answer}"
        answer.expect(400, "bad-request")
    raw(it.port, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n").expect(414, "too-large")


@case("names in paths: bad UTF-8, control characters, too long: 400 bad-path; slashes, also encoded, separate names: 404")
@unchanged
def bad_paths(it):
    names = ("%ff", "%C0%80", "%ED%A0%80", "%0a", "%0D%0A", "%7f", "%C2%85", "%E2%80%AE", "x" * 61,
             "%C3%A9" * 61, "x" * 1500)
    paths = (("GET", "/api/users/{}/coupons"), ("POST", "/api/users/{}/coupons"),
             ("PATCH", "/api/users/judge/coupons/{}"), ("POST", "/api/users/judge/coupons/{}/claims"),
             ("GET", "/api/users/judge/coupons/{}"), ("GET", "/api/users/{}/orders"))
    every([(method, path.format(name)) for method, path in paths for name in names],
          lambda method, path: it.ask(method, path, it.buyer).expect(400, "bad-path"))
    for path in ("/api/users//coupons", "/api/users/a%2Fb/coupons", "/api/users/%2f/orders"):
        it.ask("GET", path, it.buyer).expect(404, "not-found")


@case("paths with dots, slashes and escapes in them never become a 5xx")
@unchanged
def odd_paths(it):
    def sane(method, path):
        request = (f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {it.target.seller.token}\r\n"
                   "Content-Length: 2\r\nConnection: close\r\n\r\n{}")
        answer = raw(it.port, request.encode())
        assert answer.status < 500, answer
    paths = ("/api/users/./coupons", "/api/users/../coupons", "/api/./users", "//api/users", "/api//auth",
             "/api/auth/../users", "/api/users/judge/../judge/coupons", "/api/users/x/../auth", "/api/orders/..",
             "/api/users/%2e/orders", "/api/auth#x", "/api/users/%2e%2e/coupons", "/api/auth/%2e", "/%2e/api/auth",
             "/api/auth?", "/api/users?page=1&&", "/readyz/..", "/api/users/a;b=c/coupons",
             "/api/users/judge/coupons/./claims", "/api/users/judge/coupons/../claims",
             "/api/users/judge/orders/../coupons", "/api/./orders/1-0-1", "/healthz/../api/auth",
             "/api/users/judge%2Forders")
    every([(method, path) for path in paths for method in ("GET", "POST", "PATCH")], sane)


@case("a page that is not a number: 400")
@unchanged
def bad_pages(it):
    for page in ("x", "1x", "1.5", "%31%", "1e3", "99999999999999999999", "+1", "0x1", "1%00", "--1", "1,2", "%C0",
                 "9223372036854775808"):
        for path in (it.buyer.path + "/coupons", it.target.seller.path + "/coupons", it.buyer.path + "/orders"):
            it.ask("GET", f"{path}?page={page}", it.buyer).expect(400, "bad-page")
    coupons, orders = it.target.seller.path + "/coupons", it.buyer.path + "/orders"
    for page in ("", "0", "-1000000000", "-9223372036854775808"):
        same(it.ask("GET", f"{coupons}?page={page}", it.buyer).expect(200).json["data"][-1]["name"], "target", page)
    for page in ("2", "1000000000", "1000000001", "9223372036854775807"):
        for who in (it.buyer, it.target.seller):
            it.ask("GET", f"{coupons}?page={page}", who).expect(204)
        same(it.ask("GET", f"{orders}?page={page}", it.buyer).expect(200).json["data"], [], page)


def forged(it):
    """Tokens that must be refused: name -> (token, codes)."""
    kid, key = it.token_key()
    good = it.target.seller.token
    head, payload, mac = good.split(".")
    header, claims, now = {"alg": "HS256", "typ": "JWT", "kid": kid}, claims_of(good), int(time.time())
    sign(header, claims, key)
    buyer = sign(header, claims_of(it.buyer.token), key)
    bad = {
        "tampered payload": f"{head}.{it.buyer.token.split('.')[1]}.{mac}",
        "tampered header": f"{good[:5]}x{good[6:]}", "tampered signature": f"{head}.{payload}.{'A' * 43}",
        "last character": good[:-1] + ("A" if good[-1] != "A" else "E"), "no signature": f"{head}.{payload}.",
        "no second dot": f"{head}.{payload}", "four parts": good + ".x", "a dot behind": good + ".",
        "empty parts": "..", "nothing but dots": "." * 30, "padding": good + "=",
        "a blank inside": good[:50] + " " + good[50:],
        "another user's signature": f"{head}.{payload}.{buyer.split('.')[2]}", "not base64": f"{head}.!!!!.{mac}",
        "other key": sign(header, claims, b"x" * 32), "empty key": sign(header, claims, b""),
        "short key": sign(header, claims, key[:1]),
        "HS512": sign(header | {"alg": "HS512"}, claims, key, hashlib.sha512),
        "HS384": sign(header | {"alg": "HS384"}, claims, key, hashlib.sha384),
        "hs256": sign(header | {"alg": "hs256"}, claims, key),
        "RS256": sign(header | {"alg": "RS256"}, claims, key),
        "no alg": sign({"typ": "JWT", "kid": kid}, claims, key),
        "alg a number": sign(header | {"alg": 256}, claims, key),
        "wrong kid": sign(header | {"kid": "k9"}, claims, key),
        "no kid": sign({"alg": "HS256", "typ": "JWT"}, claims, key),
        "kid a path": sign(header | {"kid": "../../dev/null"}, claims, key),
        "header no object": sign([], claims, key), "header no JSON": sign(b"x", claims, key),
        "claims no object": sign(header, [claims], key), "claims no JSON": sign(header, b"{", key),
        "claims empty": sign(header, {}, key), "claims nested": sign(header, {"x": claims}, key),
        "7 KiB": sign(header, claims | {"x": "y" * 5000}, key), "a short word": "x", "a word": "x" * 300,
        "Bearer only": "Bearer", "Basic": "Basic anVkZ2U6Y29ycmVjdA==", "Bearer twice": f"Bearer Bearer {good}",
        "another scheme": f"Token {good}",
    }
    for alg in ("none", "None", "NONE", "nOnE", ""):
        unsigned = sign({"alg": alg, "typ": "JWT", "kid": kid}, claims, key, None)
        bad[f"alg {alg!r}, unsigned"], bad[f"alg {alg!r}, no dot"] = unsigned, unsigned[:-1]
        bad[f"alg {alg!r}, signed"] = sign({"alg": alg, "typ": "JWT", "kid": kid}, claims, key)
    wrong = {"iss": ["other", "", None, 1], "aud": ["other", "", None, ["seckill"]],
             "sub": ["", "0", "-1", "x", "1x", 1, None, "9" * 30], "kind": ["admin", "", None, 1, "Saler"],
             "jti": ["", "x", None, 1, "g" * 16], "name": [None, 1, ""],
             "exp": [None, str(now + 600), now + 600.5, -1, True], "nbf": [None, now + 600, "0"],
             "iat": [None, now + 4000, "0"]}
    for claim, values in wrong.items():
        for value in values:
            bad[f"{claim} {value!r}"] = sign(header, claims | {claim: value}, key)
        bad[f"no {claim}"] = sign(header, {k: v for k, v in claims.items() if k != claim}, key)
    expected = {name: (token, {"bad-token"}) for name, token in bad.items()}
    for past in (0, now - 40, now - 86400):
        expected[f"expired {past}"] = sign(header, claims | {"exp": past}, key), {"expired-token"}
    for nothing in ("", " "):
        expected[f"nothing {nothing!r}"] = nothing, {"no-token", "bad-token"}
    return expected


@case("invalid tokens: 401 in both pools, and nothing is done")
@unchanged
def bad_tokens(it):
    kid, key = it.token_key()
    own = sign({"alg": "HS256", "typ": "JWT", "kid": kid}, claims_of(it.target.seller.token), key)
    other = sign({"kid": kid, "typ": "JWT", "alg": "HS256"}, claims_of(it.target.seller.token), key)
    for valid in (own, other):  # tokens made here are valid, so those below are refused for their faults
        it.ask("GET", it.target.seller.path + "/coupons", authorization=valid).expect(200)
    requests = (("GET", it.target.seller.path + "/coupons", None), ("PATCH", it.target.path, None),
                ("POST", it.target.path + "/claims", None), ("POST", it.target.seller.path + "/coupons", COUPON),
                ("GET", it.target.seller.path + "/orders", None), ("POST", "/api/auth/logout", None))

    def refused(name, token, codes):
        for method, path, body in requests:
            answer = it.ask(method, path, body=body, authorization=token).expect(401)
            assert answer.code in codes, f"{method} {path}: {answer}, not {codes}"
            same(answer.headers["WWW-Authenticate"], "Bearer", "WWW-Authenticate")
    every([(name, *row) for name, row in forged(it).items()], refused)


@case("a token of 8 KiB and more: refused unread")
@unchanged
def huge_tokens(it):
    for size in (8192, 20000, 100000):
        answer = it.ask("GET", it.buyer.path + "/coupons", authorization="x" * size)
        assert answer.status in (400, 401, 431), answer
        answer.expect(answer.status)


@case("a public page ignores a bad token")
@unchanged
def public_page(it):
    for token in ("x", "Bearer " + "y" * 100):
        seen = it.ask("GET", it.target.path, authorization=token).expect(200).json
        assert "segments" not in seen, seen


@case("the requests that were refused above succeed with valid values")
def said_right(it):
    for body in (COUPON | {"name": "unknown member", "colour": ["red"], "x": {"y": None}},
                 COUPON | {"name": "bounds", "amount": 1000000000, "stock": 0, "description": "", "segments": 256,
                           "pay_within": 1},
                 COUPON | {"name": "é" * 60, "stock": 1000000000, "description": "é" * 1000},
                 COUPON | {"name": "window", "starts_at": "2035-01-01T00:00:00+02:00",
                           "ends_at": "2035-01-02T00:00:00.125Z"},
                 COUPON | {"name": "a float", "amount": 5.0, "stock": 1e3},
                 COUPON | {"name": "8 levels", "x": [[[[[[[1]]]]]]]},
                 COUPON | {"name": "dear", "price": 1000000000000, "currency": "EUR", "late_payment": False,
                           "checkout_url": CHECKOUT + "/" + "x" * (1999 - len(CHECKOUT))},
                 COUPON | {"name": "free", "price": 0, "currency": "JPY", "pay_within": 60, "late_payment": True,
                           "checkout_url": "http://127.0.0.1:8080/{order}?{order}#{order}"},
                 COUPON | {"name": "nulls", "starts_at": None, "ends_at": None, "segments": None, "pay_within": None, "price": None,
                           "currency": None, "late_payment": None, "checkout_url": None}):
        askers(it)["coupons"].post(it, body).expect(201)
        it.ask("GET", f"/api/users/judge/coupons/{quote(body['name'])}").expect(200)
    for password in ("123456", "ééé", "x" * 128, "é" * 64, " \t\n ☃"):
        name = it.name("ok")
        it.register(name, "customer", password).expect(201)
        it.log_in(name, password).expect(200)
        it.log_in(name, password + "x").expect(401 if len(password.encode()) < 128 else 400)
    same(it.ctl("audit").returncode, 0, "exit of the audit")


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1, SECKILL_PAYMENT_KEY_FILE=key_file(KEY))
