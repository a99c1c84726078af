#!/usr/bin/env -S python3 -B
"""nginx with fake workers: its own errors in every location, its headers, and CORS."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import fcgi
from client import connect, raw
from harness import SOURCE
from tap import bail_out, case, every, run_cases, same, until

CONF = (SOURCE / "nginx/seckill.conf.in").read_text()
CLAIM, PAGE = "/api/users/s/coupons/c/claims", "/api/users/s/coupons/c"
WAITING = PAGE + "/waiting"
PAYMENT = "/api/orders/1-0-1/payment"

# A request for every location that has workers, by nginx's own regular expressions.
REQUESTS = (("POST", CLAIM), ("PATCH", PAGE), ("GET", PAGE), ("GET", "/api/users/s/coupons"),
            ("POST", "/api/users/s/coupons"), ("POST", "/api/users"), ("POST", "/api/auth"), ("POST", "/api/auth/logout"),
            ("GET", "/api/users/u/orders"), ("PATCH", PAGE + "/stock"), ("PATCH", PAGE + "/sale"), ("POST", WAITING),
            ("GET", "/api/orders/1-0-1"), ("DELETE", "/api/orders/1-0-1"), ("POST", PAYMENT), ("GET", "/readyz"),
            ("GET", "/metrics"), ("GET", "/healthz"), ("GET", "/api"), ("GET", "/api/time"))
STATIC = ("GET", "/")


# nginx, in a directory of its own

class Nginx:
    """limits: values of the template; directives: these replace those of the template."""

    def __init__(self, origins="", in_flight=1000, limits=(), **directives):
        self.run = pathlib.Path(tempfile.mkdtemp(prefix="skn", dir="/tmp"))
        self.address, self.workers, self.process = self.run / "http.sock", [], None
        self.values = {"RUN": self.run, "LISTEN": f"unix:{self.address}", "WWW": self.run / "www", "ACCESS_LOG": "off",
                       "LOGIN_RATE": "1000r/s", "LOGIN_BURST": 2000, "REGISTER_RATE": "1000r/s", "REGISTER_BURST": 2000,
                       "CREATE_RATE": "1000r/s", "CREATE_BURST": 2000, "IN_FLIGHT": in_flight, "CORS": "" if origins else "#",
                       "CORS_ORIGINS": origin_lines(origins).stdout.strip()}
        self.values |= dict(limits)
        self.directives = directives

    def __enter__(self):
        for name in ("etc", "tmp", "www/closed"):
            (self.run / name).mkdir(parents=True)
        (self.run / "www/index.html").write_text("<!doctype html>\n")
        for name, to in (("nginx", "nginx.conf"), ("seckill", "nginx-seckill.conf")):
            (self.run / "etc" / to).write_text(self._rendered((SOURCE / f"nginx/{name}.conf.in").read_text()))
        root = ["-g", "user root;"] if os.getuid() == 0 else []
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        with open(self.run / "log", "wb") as log:
            self.process = subprocess.Popen(["nginx", "-e", "stderr", "-c", self.run / "etc/nginx.conf", *root], stderr=log,
                                            stdin=subprocess.DEVNULL, env=os.environ | {"PATH": path})
        until(self._listens, 10, f"nginx: {(self.run / 'log').read_text()}")
        return self

    def _rendered(self, text):
        for name, value in self.values.items():
            text = text.replace(f"@{name}@", str(value))
        for name, value in self.directives.items():
            text, count = re.subn(rf"\b{name} [^;]*;", f"{name} {value};", text)
        return text

    def _listens(self):
        assert self.process.poll() is None, (self.run / "log").read_text()
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(str(self.address)) == 0

    def __exit__(self, *problem):
        for worker in self.workers:
            worker.close()
        self.process.terminate()
        self.process.wait(20)
        if not os.environ.get("IT_KEEP"):
            shutil.rmtree(self.run)

    def pool(self, answer):
        """Fakes of all pools that do this with every connection."""
        self.workers += [Worker(self.run / f"{pool}.sock", answer) for pool in ("hot", "cold", "auth")]
        return self

    def ask(self, method, path, *headers, body=b"", version="1.1"):
        lines = [f"{method} {path} HTTP/{version}", "Host: x", "Connection: close", *headers, "", ""]
        return raw(self.address, "\r\n".join(lines).encode() + body)


def origin_lines(origins):
    """Runs the function that turns SECKILL_CORS_ORIGINS into lines of nginx, for ./dev and the containers."""
    script = '. docker/instance.sh; write_cors_origins; printf "%s" "$CORS_ORIGINS"'
    return subprocess.run(["bash", "-uc", script], cwd=SOURCE, env=os.environ | {"SECKILL_CORS_ORIGINS": origins},
                          capture_output=True, text=True)


# Fake workers

class Worker:
    def __init__(self, path, answer):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(100)
        self.answer, self.connections = answer, []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with contextlib.suppress(OSError):
            data = b""
            while not data.endswith(fcgi.record(fcgi.STDIN)):  # the end of a request
                data += connection.recv(65536) or sys.exit()
            text = self.answer(data)
            if text is not None:
                connection.sendall(text)
                connection.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        for connection in [self.listener, *self.connections]:
            connection.close()


def answering(text):
    end = fcgi.record(fcgi.END, b"\0" * 8)
    return lambda request: fcgi.record(fcgi.STDOUT, text) + fcgi.record(fcgi.STDOUT) + end


FINE = answering(b"Status: 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")


def redirecting(location):
    return answering(f"X-Accel-Redirect: {location}\r\n\r\n".encode())


def silent(_):
    return None


def gone(_):
    return b""


def garbage(_):
    return b"HTTP/1.1 200 OK\r\n\r\n"


# The contract of an error

TITLES = dict(re.findall(r'\{ (\d+), "([^"]+)" \}', (SOURCE / "src/http/response.c").read_text()))
STATUSES = {(int(http), code): text for http, code, text in re.findall(
    r'^X\(\w+, (\d+), "([^"]*)", "([^"]*)"\)', (SOURCE / "src/sale/status.def").read_text(), re.M)}
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
           "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'"}


QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"


def is_problem(answer, status, code, origin=None, retry="1", policy=None):
    answer.expect(status, code)
    body = answer.json
    if (status, code) in STATUSES and status != 503:  # nginx has its own texts for 503; workers do not send 414 and 431
        title = "Quota Exceeded" if status == 429 else TITLES[str(status)]
        same((body["title"], body["detail"]), (title, STATUSES[status, code]), "title and detail")
    has_headers(answer, origin)
    same(answer.headers.get_all("RateLimit-Policy"), [policy] if policy else None, "RateLimit-Policy")
    if policy:
        same((body["type"], body["violated-policies"]), (QUOTA_EXCEEDED, [policy.split('"')[1]]), "type and policies")
    same(answer.headers.get_all("Retry-After"), [retry] if status in (429, 503) else None, "Retry-After")
    same(answer.headers["Server"], "nginx", "Server")


def has_headers(answer, origin=None):
    for name, value in HEADERS.items():
        same(answer.headers.get_all(name), [value], name)
    same(len(answer.headers["X-Request-Id"]), 32, "X-Request-Id")
    same(answer.headers.get_all("Access-Control-Allow-Origin"), [origin] if origin else None, "the origin allowed")
    same(answer.headers.get_all("Vary"), ["Origin"] if origin else None, "Vary")


def location_of(path):
    """The location that nginx chooses: an exact one, then the first regular expression, then the longest prefix."""
    locations = re.findall(r"^\tlocation (?:(=|~) )?(\S+) \{", CONF, re.M)
    exact = [p for kind, p in locations if kind == "=" and p == path]
    expressions = [p for kind, p in locations if kind == "~" and re.search(p.replace(r"\z", r"\Z").replace("(?<", "(?P<"), path)]
    prefixes = sorted((p for kind, p in locations if not kind and path.startswith(p)), key=len)
    return (exact + expressions + prefixes[-1:])[0]


@case("every location of nginx is reached by a request of this file")
def all_locations(_):
    listed = set(re.findall(r"^\tlocation (?:[=~] )?(\S+) \{", CONF, re.M))
    reached = {location_of(path) for _, path in (*REQUESTS, STATIC)}
    named = {"@again", "@create", "@hot", "@cold", "@own", "@auth"}  # reached below: no worker, POST of a coupon, workers that redirect
    same(listed - reached - {"/.problem/", "/.preflight"}, named, "locations that nothing reaches")


# Each with the request that causes it, for any method and path.
ANYWHERE = (
    ("two hosts", 400, "bad-request", ["Host: y"], {}),
    ("a length that is no number", 400, "bad-request", ["Content-Length: x"], {}),
    ("a length and chunks", 400, "bad-request", ["Content-Length: 1", "Transfer-Encoding: chunked"], {}),
    ("an unknown transfer encoding", 400, "bad-request", ["Transfer-Encoding: gzip"], {}),
    ("an unknown version", 400, "bad-request", [], {"version": "3.0"}),
    ("a long body", 413, "too-large", ["Content-Length: 16385"], {}),
    ("a long header", 431, "too-large", ["X: " + "a" * 9000], {}),
    ("many long headers", 431, "too-large", [f"X{i}: " + "a" * 7000 for i in range(5)], {}),
)
# Locations where a worker would get a body.
BODIES = (
    ("chunks that are none", 400, "bad-request", ["Transfer-Encoding: chunked"], {"body": b"zz\r\n"}),
    ("many chunks", 413, "too-large", ["Transfer-Encoding: chunked"], {"body": (b"1000\r\n" + b" " * 4096 + b"\r\n") * 5}),
)


@case("errors of a request: in every location a problem body with all headers")
def bad_requests(_):
    with Nginx() as nginx:
        rows = [(method, path, *row) for method, path in (*REQUESTS, STATIC) for row in ANYWHERE]
        rows += [(method, path, *row) for method, path in REQUESTS for row in BODIES]
        every(rows, lambda method, path, what, status, code, headers, more: is_problem(
            nginx.ask(method, path, *headers, **more), status, code))
        for _, path in (*REQUESTS, STATIC):
            is_problem(nginx.ask("GET", path + "?" + "a" * 9000), 414, "too-large")
            trace = nginx.ask("TRACE", path)
            is_problem(trace, 405, "method-not-allowed")
            same(trace.headers["Allow"], "GET, HEAD" if path == "/" else None, f"Allow of {path}")
        for line in (b"GET", b"GET /\0 HTTP/1.1", b"G T / HTTP/1.1", b"GET /%zz HTTP/1.1", b"GET /../.. HTTP/1.1"):
            is_problem(raw(nginx.address, line + b"\r\nHost: x\r\n\r\n"), 400, "bad-request")


@case("static pages: missing, forbidden, wrong method")
def static_pages(_):
    with Nginx() as nginx:
        for path in ("/nothing", "/closed/", "/.problem/400", "/.problem/503", "/.preflight", "/API/users"):
            is_problem(nginx.ask("GET", path), 404, "not-found")
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            answer = nginx.ask(method, "/")
            is_problem(answer, 405, "method-not-allowed")
            same(answer.headers["Allow"], "GET, HEAD", "Allow")
        for condition in ('If-Match: "x"', "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"):
            is_problem(nginx.ask("GET", "/", condition), 412, "precondition-failed")
        for value in ("bytes=0-1", "bytes=99999-", "bytes=-0", "x"):
            same(nginx.ask("GET", "/", f"Range: {value}").status, 200, f"status with Range: {value}")
        page = nginx.ask("GET", "/")
        same(page.headers.get_all("Cache-Control"), ["public, max-age=60"], "Cache-Control of a page")


def is_unsent(answer, method, path, origin=None):
    """No worker was reached, and nothing was done. In the auth pool this usually means a full queue."""
    queued = method == "POST" and path in ("/api/users", "/api/auth")
    is_problem(answer, 503, "busy", origin, "5" if queued else "1")
    answer.names("logins" if queued else "no worker")


def is_lost(answer, method, path):
    """A worker had the request: only a claim is safe to repeat."""
    is_problem(answer, 503, "outcome-unknown")
    answer.names("stays yours" if (method, path) in (("POST", CLAIM), ("PATCH", PAGE), ("POST", WAITING)) else "may have been carried out")


@case("no worker: 503 busy everywhere; a worker that closes, sends garbage, or is silent for too long: outcome-unknown")
def no_workers(_):
    def lost(nginx, check=is_lost):
        with ThreadPoolExecutor(len(REQUESTS)) as pool:
            answers = list(pool.map(lambda request: nginx.ask(*request), REQUESTS))
        every([*zip(answers, REQUESTS)], lambda answer, request: check(answer, *request))
    with Nginx() as nginx:
        lost(nginx, is_unsent)
    for worker in (gone, garbage):
        with Nginx() as nginx:
            lost(nginx.pool(worker))
    with Nginx(fastcgi_read_timeout="300ms") as nginx:
        lost(nginx.pool(silent))


@case("the headers of a signature reach a worker from the payment's location, and from no other")
def signature_headers(_):
    seen = []

    def note(request):
        seen.append(request)
        return FINE(request)
    signature = ("webhook-id: msg_1", "webhook-timestamp: 1700000000", "webhook-signature: v1,QUJD v1,REVG")
    with Nginx() as nginx:
        nginx.pool(note)
        for method, path in REQUESTS:
            seen.clear()
            same(nginx.ask(method, path, *signature).status, 200, "status")
            found = re.findall(rb"HTTP_WEBHOOK_(?:IDmsg_1|TIMESTAMP1700000000|SIGNATUREv1,QUJD v1,REVG)", seen[0])
            same((len(found), seen[0].count(b"WEBHOOK")), (3, 3) if path == PAYMENT else (0, 0), f"{method} {path}: headers")


@case("a worker redirects: to a pool that is away, and to one that does not exist")
def handed_over(_):
    for pool, other in (("hot", "cold"), ("hot", "own"), ("cold", "hot"), ("auth", "cold"), ("cold", "auth")):
        with Nginx() as nginx:
            nginx.workers.append(Worker(nginx.run / f"{pool}.sock", redirecting(f"@{other}")))
            every(list(REQUESTS), lambda *request: nginx.ask(*request).expect(503))
    with Nginx() as nginx:
        nginx.pool(redirecting("@nowhere"))
        every(list(REQUESTS), lambda *request: is_problem(nginx.ask(*request), 500, "internal"))


@case("too many requests at once: 429 in every location, with Retry-After")
def in_flight(_):
    under_way = threading.Event()
    with Nginx(in_flight=1, fastcgi_read_timeout="60s") as nginx:
        nginx.pool(lambda request: under_way.set())
        with connect(nginx.address) as held:
            held.sendall(b"POST /api/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            assert under_way.wait(20), "the first request did not reach a worker"
            every([*REQUESTS, STATIC], lambda *request: is_problem(
                nginx.ask(*request), 429, "rate-limited", policy='"in-flight";q=1;qu="concurrent-requests"'))


@case("too many requests a second: 429 in those locations that have such a limit")
def rates(_):
    with Nginx(limits={"LOGIN_RATE": "1r/s", "LOGIN_BURST": 1, "REGISTER_RATE": "2r/m", "REGISTER_BURST": 1,
                       "CREATE_RATE": "1r/m", "CREATE_BURST": 1}) as nginx:
        nginx.pool(FINE)
        for path, policy in (("/api/users", '"registrations";q=2;w=60'), ("/api/auth", '"logins";q=1;w=1'),
                             ("/api/auth/logout", '"logins";q=1;w=1'), ("/api/users/s/coupons", '"creations";q=1;w=60')):
            answers = [nginx.ask("POST", path) for _ in range(4)]
            is_problem(answers[-1], 429, "rate-limited", policy=policy)
    with Nginx() as nginx:
        nginx.workers += [Worker(nginx.run / "hot.sock", redirecting("@cold")), Worker(nginx.run / "cold.sock", FINE)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: nginx.ask("GET", PAGE), range(500)))
        is_problem([answer for answer in answers if answer.status != 200][0], 429, "rate-limited",
                   policy='"unknown-names";q=100;w=1')


@case("a client that is too slow gets no answer: the connection is closed, and 408 is never sent")
def too_slow(_):
    with Nginx(client_header_timeout="200ms", client_body_timeout="200ms") as nginx:
        for begun in (b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST /api/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"):
            with connect(nginx.address) as s, contextlib.suppress(ConnectionError):
                s.sendall(begun)
                same(s.recv(1000), b"", "the answer")


@case("the cached page of a coupon with a condition: 412; a sold-out coupon, answered by nginx: all headers")
def kept_and_sold_out(_):
    with Nginx() as nginx:
        nginx.pool(FINE)
        for condition in ('If-Match: "x"', "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"):
            is_problem(nginx.ask("GET", PAGE, condition), 412, "precondition-failed")
            same(nginx.ask("POST", CLAIM, condition).status, 200, "a claim with a condition")
        sold_out(nginx)
        answer = nginx.ask("PATCH", PAGE, "Authorization: x").expect(204, "sold-out")
        has_headers(answer)


@case("the answer to a claim: all headers, and the request id that the worker made, which nginx asked it to make")
def claims(_):
    asked, head = [], b"Status: 201 Created\r\nX-Request-Id: " + b"a" * 32 + b"\r\nContent-Type: application/json\r\n"

    def worker(request):
        asked.append(request)
        return answering(head + b'Content-Length: 13\r\n\r\n{"errMsg":""}')(request)
    with Nginx(origins=SHOP) as nginx:
        nginx.pool(worker)
        answer = nginx.ask("POST", CLAIM, f"Origin: {SHOP}").expect(201)
        has_headers(answer, SHOP)
        same(answer.headers.get_all("X-Request-Id"), ["a" * 32], "ids")
        assert "Seckill-Order" in answer.headers["Access-Control-Expose-Headers"], dict(answer.headers)
        same(asked[0].count(bytes([len("REQUEST_ID"), 0]) + b"REQUEST_ID"), 1, "an empty REQUEST_ID")


def sold_out(nginx):
    """Markers as a worker makes them, valid for longer than the test takes."""
    now = int(time.time())
    for second in range(now, now + 60):
        for quarter in ("00", "25", "50", "75"):
            directory = nginx.run / f"soldout/{second}.{quarter}/s"
            directory.mkdir(parents=True)
            (directory / "c").touch()


# Other origins

SHOP, LOCAL = "https://shop.example", "http://[::1]:3000"
ASKS = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type")


@case("CORS: a page of an allowed origin may call everything, and read errors and sold-out answers, too")
def allowed_origins(_):
    long = "https://" + "a." * 100 + "example:65535"
    with Nginx(origins=f"{SHOP}, {LOCAL} {long},{SHOP}") as nginx:
        def reads(origin, code, *request):
            answer = nginx.ask(*request, f"Origin: {origin}")
            if code == "unsent":
                is_unsent(answer, *request[:2], origin)
            elif code == "fine":
                same((answer.status, answer.headers["Access-Control-Allow-Origin"]), (200, origin), "answer")
            else:
                is_problem(answer, answer.status, code, origin)
            exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
            assert {"Seckill-Result", "Link"} <= set(exposed), dict(answer.headers)
        for origin in (SHOP, LOCAL, long):
            every([*REQUESTS], lambda *request: reads(origin, "unsent", *request))
        reads(SHOP, "not-found", "GET", "/nothing")
        reads(SHOP, "too-large", "POST", "/api/auth", "Content-Length: 16385")
        reads(SHOP, "bad-request", "POST", "/api/auth", "Content-Length: x")
        nginx.pool(FINE)
        until(lambda: nginx.ask("GET", "/healthz").status == 200, 10, "the workers are there")
        every([*REQUESTS], lambda *request: reads(SHOP, "fine", *request))
        for origin in (None, LOCAL, SHOP, "https://other.example", None):  # the cached page serves every origin
            answer = nginx.ask("GET", PAGE, *([f"Origin: {origin}"] if origin else []))
            allowed = origin if origin in (SHOP, LOCAL) else None
            same(answer.headers.get_all("Access-Control-Allow-Origin"), allowed and [allowed], f"page for {origin}")
        sold_out(nginx)
        answer = nginx.ask("PATCH", PAGE, "Authorization: x", f"Origin: {SHOP}").expect(204, "sold-out")
        has_headers(answer, SHOP)


@case("preflights: nginx answers them for an allowed origin, and treats others like any OPTIONS")
def preflights(_):
    with Nginx(origins=f"{SHOP} {LOCAL}") as nginx:
        for _, path in (*REQUESTS, STATIC):  # no worker is there
            answer = nginx.ask("OPTIONS", path, f"Origin: {LOCAL}", *ASKS)
            same((answer.status, answer.body), (204, b""), path)
            for name, value in {"Access-Control-Allow-Origin": LOCAL, "Vary": "Origin", "Access-Control-Max-Age": "7200",
                                "Access-Control-Allow-Methods": "GET, HEAD, POST, PATCH, DELETE",
                                "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, If-Match",
                                "Cache-Control": "no-store", "Access-Control-Allow-Credentials": None}.items():
                same(answer.headers.get_all(name), value and [value], name)
        for headers in ((f"Origin: {SHOP}.evil.example", *ASKS), (f"Origin: {SHOP}:443", *ASKS), ("Origin: null", *ASKS),
                        (f"Origin: {SHOP}/", *ASKS), ("Origin: https://shopXexample", *ASKS), ("Origin: *", *ASKS), ASKS,
                        ("Origin:", *ASKS)):
            is_problem(nginx.ask("OPTIONS", CLAIM, *headers), 503, "busy")  # a worker would answer 405
        is_problem(nginx.ask("OPTIONS", CLAIM, f"Origin: {SHOP}"), 503, "busy", SHOP)
    with Nginx() as nginx:
        for origin in (SHOP, "", "null", '""'):
            is_problem(nginx.ask("OPTIONS", CLAIM, f"Origin: {origin}", *ASKS), 503, "busy")


@case("invalid origins: the start fails and names them")
def bad_origins(_):
    for good in (SHOP, LOCAL, "http://localhost", "capacitor://localhost", "https://xn--mnchen-3ya.example:8443"):
        same(origin_lines(good).stdout.strip(), f'"{good}" "{good}";', "lines")
    same(origin_lines("").stdout, "", "lines of none")
    for bad in ("*", "null", "shop.example", "https://", SHOP + "/", SHOP + "/x", "HTTPS://shop.example", "https://Shop.example",
                "https://*.example", 'https://a";}', "https://a:port", "https://a:123456", "https://user@a", "https://ä.example",
                "https://a?x", "https://a;"):
        done = origin_lines(f"{SHOP} {bad}")
        assert done.returncode == 1 and bad in done.stderr and "scheme://host" in done.stderr, f"{bad}: {done}"


if __name__ == "__main__":
    if not shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        bail_out("nginx is not installed")
    sys.exit(1 if run_cases(None) else 0)
