#!/usr/bin/env -S python3 -B
"""Claims, coupons and orders, as one client after the other meets them."""

import contextlib
import datetime
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

from client import quote
from harness import PASSWORD, main
from tap import allowed, case, pause, quick, same, until

KEYS = re.compile(r"sk:(\{\d+:h\}:(hub|d|l)|\{\d+:\d+\}:[soq]|[nwus]:\{\d+\}|dirty|layout|revoked)")
NAMES = ["a b", " edge ", "Käse & Brot", "скидка", "優惠券", "🎟️🎟️", "it's \"half\" off", "{1:h}", "{}:{}", "a:b:c",
         "1|2|3", "50%", "%2F", "%00", "a+b=c?d#e", "...", ".a", "back\\slash", "<b>bold&lt;", "$(id)`id`",
         "-- ; DROP TABLE", "claims", "coupons", "*", "null", "0", "@hot", "ẞ" * 60, "🎟" * 60]


def now_ms():
    return int(time.time() * 1000)


def rfc3339(ms):
    moment = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ms_of(text):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text), text
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def clock_ms(it):
    return ms_of(it.ask("GET", "/api/time").expect(200).json["time"])


def data(it, path, user):
    """One page of a list."""
    return it.ask("GET", path, user).expect(200).json["data"]


def names(entries):
    return [entry["name"] for entry in entries]


def compat_flow(it, say):
    """What compat clients do. say: how a token goes into the Authorization header."""
    seller, customer = it.name("saler"), it.name("buyer")
    tokens = {}
    for name, kind in ((seller, "saler"), (customer, "customer")):
        same(it.register(name, kind).expect(201).json["errMsg"], "", "errMsg")
        answer = it.log_in(name).expect(200)
        same(answer.json["kind"], kind, "kind")
        same(answer.json["token"], answer.headers["Authorization"], "token in the body")
        tokens[name] = say(answer.headers["Authorization"])

    def ask(who, method, path, body=None):
        return it.ask(method, path, body=body, authorization=tokens[who])

    coupons = f"/api/users/{seller}/coupons"
    for i in range(3):
        body = {"name": f"c{i}", "amount": 5, "stock": 10 + i, "description": f"number {i}"}
        made = ask(seller, "POST", coupons, body)
        same(made.expect(201).headers["Location"], f"{coupons}/c{i}", "Location")
    listed = ask(customer, "GET", f"{coupons}?page=1").expect(200).json["data"]
    same({c["name"]: (c["stock"], c["description"], c["amount"], c["left"]) for c in listed},
         {f"c{i}": (10 + i, f"number {i}", 5, 5) for i in range(3)}, "the seller's coupons")
    won = ask(customer, "PATCH", f"{coupons}/c1").expect(201).json["order"]
    ask(customer, "PATCH", f"{coupons}/c1").expect(204, "already-claimed")
    mine = ask(customer, "GET", f"/api/users/{customer}/coupons?page=1").expect(200).json["data"]
    same([(c["name"], c["stock"], c["description"]) for c in mine], [("c1", 11, "number 1")], "the customer's coupons")
    sold = ask(seller, "GET", coupons).expect(200).json["data"]
    same({c["name"]: c["left"] for c in sold}, {"c0": 5, "c1": 4, "c2": 5}, "what is left")
    same(ask(customer, "GET", f"/api/users/{customer}/orders").expect(200).json["data"][0]["order"], won, "the order")


@case("compat flow with a bare token")
def bare_token(it):
    compat_flow(it, str)


@case("compat flow with a Bearer token")
def bearer_token(it):
    compat_flow(it, "Bearer {}".format)


@case("a claim is won once; asked again, it names the same order")
def won_once(it):
    sale, user = it.sale(), it.customer()
    first = sale.claim(user).expect(201)
    order = first.json["order"]
    same(first.headers["Location"], f"/api/orders/{order}", "Location")
    assert re.fullmatch(rf"{sale.id}-\d+-[1-9]\d*", order), order
    same(sale.claim(user).expect(200).json["order"], order, "order of the second claim")
    again = sale.claim_compat(user).expect(204, "already-claimed")
    same(again.headers["Seckill-Order"], order, "order of the compat claim")
    same(sale.claimed(), 1, "units claimed")


@case("the compat claim is won once; our claim names the same order")
def compat_won_once(it):
    sale, user = it.sale(), it.customer()
    order = sale.claim_compat(user).expect(201).json["order"]
    sale.claim_compat(user).expect(204, "already-claimed")
    same(sale.claim(user).expect(200).json["order"], order, "order")


@case("sold out: 410, on the compat route 204; the winner still learns the order")
def sold_out(it):
    sale, (winner, *others, loser) = it.sale(amount=4, segments=4), it.users(5)
    order = sale.win(winner)
    for other in others:
        sale.win(other)
    for _ in range(3):
        sale.claim(loser).expect(410, "sold-out")
        sale.claim_compat(loser).expect(204, "sold-out")
    same(sale.claim(winner).expect(200).json["order"], order, "order")
    same(sale.read()["state"], "sold-out", "state")


@case("not started: 409 and Retry-After, on the compat route 204; then it opens, by Redis's clock, not a moment earlier")
def not_started(it):
    within = round(1000 * allowed(1.5))
    opens = now_ms() + within
    sale, user = it.sale(starts_at=rfc3339(opens)), it.customer()
    for answer in (sale.claim(user).expect(409, "not-started"), sale.claim_compat(user).expect(204, "not-started")):
        assert 1 <= int(answer.headers["Retry-After"]) <= -(-within // 1000), dict(answer.headers)
    same(sale.read()["state"], "upcoming", "state")
    same(sale.read()["starts_at"], rfc3339(opens), "starts_at")

    def opened():
        answer = sale.claim(user)
        return answer.status == 201 and answer or answer.expect(409, "not-started") and None
    until(opened, 10, "the sale opens")
    assert clock_ms(it) >= opens, "it opened too early"
    late = (clock_ms(it) - opens) / 1000
    same(sale.read()["state"], "open", "state")
    quick(late, 1, "it opened late")


@case("ended: 410, on the compat route 204; the winner still learns the order")
def ended(it):
    sale = it.sale(starts_at=rfc3339(now_ms() - 5000), ends_at=rfc3339(now_ms() + round(1000 * allowed(1.2))))
    winner, loser = it.customer(), it.customer()
    order = sale.win(winner)
    until(lambda: sale.read()["state"] == "ended", 10, "the sale ends")
    sale.claim(loser).expect(410, "ended")
    sale.claim_compat(loser).expect(204, "ended")
    same(sale.claim(winner).expect(200).json["order"], order, "order")
    sale.drained()
    sale.audit()


@case("no such coupon: 404, on the compat route 204; also of an unknown seller")
def no_such_coupon(it):
    sale, user = it.sale(), it.customer()
    for path in (sale.seller.path + "/coupons/other", f"/api/users/nobody/coupons/{quote(sale.name)}"):
        it.ask("POST", path + "/claims", user).expect(404, "no-such-coupon")
        it.ask("PATCH", path, user).expect(204, "no-such-coupon")
        it.ask("GET", path).expect(404, "no-such-coupon")


@case("a seller may not claim, nor may anyone without a token")
def sellers_do_not_claim(it):
    sale = it.sale()
    sale.claim(sale.seller).expect(403, "forbidden")
    sale.claim_compat(sale.seller).expect(401, "unauthorized")
    sale.claim(None).expect(401, "no-token")
    sale.claim_compat(None).expect(401, "no-token")
    same(sale.claimed(), 0, "units claimed")


@case("an order is queued, then confirmed, for its customer and its seller; others get 404")
def order_read(it):
    sale, user, stranger, other = it.sale(stock=77), it.customer(), it.customer(), it.seller()
    it.dev("stop", "drain")
    path = sale.claim(user).expect(201).headers["Location"]
    order = it.ask("GET", path, user).expect(200).json
    same((order["status"], order["seller"], order["coupon"], order["stock"]),
         ("queued", sale.seller.name, sale.name, 77), "the order")
    same(order["order"], path.split("/")[-1], "its number")
    assert abs(clock_ms(it) - ms_of(order["claimed_at"])) < 5000, order
    same(it.ask("GET", path, sale.seller).expect(200).json, order | {"customer": user.name}, "what the seller sees")
    same([o["status"] for o in data(it, user.path + "/orders", user)], ["queued"], "list")
    for who in (stranger, other):
        it.ask("GET", path, who).expect(404, "no-such-order")
    it.dev("start", "drain")
    until(lambda: it.ask("GET", path, user).expect(200).json["status"] == "confirmed", 10, "the order is confirmed")
    confirmed = it.ask("GET", path, user).json
    same({k: v for k, v in confirmed.items() if k not in ("status", "confirmed_at")},
         {k: v for k, v in order.items() if k not in ("status", "confirmed_at")}, "the rest of the order")
    assert confirmed["confirmed_at"] >= confirmed["claimed_at"], confirmed
    for who in (stranger, other):
        it.ask("GET", path, who).expect(404, "no-such-order")


@case("lists of orders and won coupons are complete, newest first, 20 a page; 204 after the last coupon")
def lists(it):
    seller, user, other = it.seller(), it.customer(), it.customer()
    sales = [it.sale(seller, f"page{i:02}", stock=i) for i in range(45)]
    won = [s for i, s in enumerate(sales) if i % 2 == 0]
    orders = []
    for sale in won:
        orders.append(sale.win(user))
        pause(0.002, "orders of one millisecond have no order")
    sales[0].win(other)
    for _ in ("some queued", "all confirmed"):
        pages = [data(it, f"{user.path}/coupons?page={n}", user) for n in (1, 2)]
        listed = [c for page in pages for c in page]
        same([len(page) for page in pages], [20, 3], "coupons a page")
        same([(c["name"], c["stock"]) for c in listed], [(s.name, int(s.name[4:])) for s in reversed(won)],
             "coupons won")
        it.ask("GET", f"{user.path}/coupons?page=3", user).expect(204)
        pages = [data(it, f"{user.path}/orders?page={n}", user) for n in (1, 2)]
        same([len(page) for page in pages], [20, 3], "orders a page")
        same([o["order"] for page in pages for o in page], list(reversed(orders)), "orders")
        won[-1].drained()
        rows = f"SELECT COUNT(*) FROM orders WHERE user_id = {user.id}"
        until(lambda: it.sql.number(rows) == len(won), 10, "all rows")
    for page in ("page=0", "page=-7", "", "other=1"):
        same(len(data(it, f"{user.path}/coupons?{page}", user)), 20, f"coupons of {page!r}")
    sold = [data(it, f"{seller.path}/coupons?page={n}", user) for n in (1, 2, 3)]
    same([c["name"] for page in sold for c in page], [s.name for s in reversed(sales)], "on sale")
    same([(c["amount"], c["left"]) for c in sold[2]], [(10, 9), (10, 10), (10, 9), (10, 10), (10, 8)],
         "amount and left of the first five coupons")
    it.ask("GET", f"{seller.path}/coupons?page=4", user).expect(204)


@case("a seller's page is the same for all who ask at once, and shows later sales a moment later")
def shared_page(it):
    seller, users = it.seller(), it.users(24)
    sales = [it.sale(seller, f"shared-{i}", amount=5, segments=4) for i in range(3)]
    path = f"{seller.path}/coupons"

    def ask(user):
        with contextlib.closing(it.new_client()) as client:
            return client.ask("GET", path, user).expect(200).json["data"]
    for turn in range(5):
        with ThreadPoolExecutor(24) as pool:
            pages = list(pool.map(ask, users))
        same({json.dumps(page) for page in pages}, {json.dumps(pages[0])}, "pages")
        same([(e["name"], e["left"]) for e in reversed(pages[0])], [(s.name, 5 - turn) for s in sales], "coupons")
        for sale in sales:
            sale.win(users[turn])
        pause(0.3, "a worker shows a page for a quarter of a second at most")
    same([e["left"] for e in data(it, path, seller)], [0, 0, 0], "what the seller sees")


@case("lists of others: 401 for another customer, 400 for an unknown user, 403 for orders; an empty list is 204")
def lists_of_others(it):
    user, other, seller = it.customer(), it.customer(), it.seller()
    it.ask("GET", f"{user.path}/coupons", user).expect(204)
    it.ask("GET", f"{seller.path}/coupons", user).expect(204)
    it.ask("GET", f"{seller.path}/coupons", seller).expect(204)
    it.ask("GET", f"{other.path}/coupons", user).expect(401, "unauthorized")
    it.ask("GET", f"{user.path}/coupons", seller).expect(401, "unauthorized")
    it.ask("GET", "/api/users/nobody/coupons", user).expect(400, "unknown-user")
    it.ask("GET", f"{user.path}/coupons").expect(401, "no-token")
    it.ask("GET", f"{other.path}/orders", user).expect(403, "forbidden")
    same(data(it, user.path + "/orders", user), [], "orders")


@case("a coupon's states and numbers; only its seller sees the segments")
def coupon_read(it):
    sale = it.sale(amount=8, segments=4, stock=500, description="d\"é\\")
    users = it.users(8)
    for sold, user in enumerate(users):
        for reader in (None, user, it.seller()):
            seen = sale.read(reader)
            same((seen["seller"], seen["name"], seen["stock"], seen["description"], seen["amount"], seen["left"],
                  seen["state"]), (sale.seller.name, sale.name, 500, "d\"é\\", 8, 8 - sold, "open"), "the coupon")
            same(seen.keys() & {"segments", "hub", "queued"}, set(), "the seller's part")
        sale.win(user)
    own = sale.read(sale.seller)
    same((own["state"], own["left"], own["hub"], len(own["segments"])), ("sold-out", 0, 0, 4), "what the seller sees")
    same(sum(s["sold"] for s in own["segments"]), 8, "units sold")
    same(sum(s["left"] for s in own["segments"]), 0, "units left")
    fresh = it.sale(sale.seller, amount=100, segments=10).read(sale.seller)
    same(fresh["hub"] + sum(s["left"] for s in fresh["segments"]), 100, "hub and segments")


@case("a single Redis has one segment a coupon, unless its seller asks for more")
def default_segments(it):
    for asked, given in ((None, 1), (7, 7), (64, 12)):
        sale = it.sale(amount=12, segments=asked)
        same(sale.segments, given, f"segments when {asked} are asked for")


@case("a public page is at most a quarter of a second old; with a token it is current")
def public_page(it):
    sale, users = it.sale(amount=3, segments=2), it.users(3)
    def left(user=None):
        return it.ask("GET", sale.path, user).expect(200).json["left"]
    same([left(), left(users[0]), left(sale.seller)], [3, 3, 3], "before")
    for i, user in enumerate(users):
        sale.win(user)
        same([left(user), left(sale.seller)], [2 - i, 2 - i], f"with a token, after {i + 1}")
    until(lambda: left() == 0, 0.25, "the page is not older than a quarter of a second")
    same([it.ask("GET", f"{sale.path}?{i}").expect(200).json["left"] for i in range(2)], [0, 0], "with a query")
    assert "segments" in it.ask("GET", sale.path, sale.seller).json and "segments" not in it.ask("GET", sale.path).json
    nobody = sale.path + "x"
    for _ in range(2):
        it.ask("GET", nobody).expect(404)
    it.sale(sale.seller, sale.name + "x")
    it.ask("GET", nobody).expect(200)  # what was not there is not remembered


@case("Retry-After is bounded for a sale that starts in many years")
def far_start(it):
    for year in (2094, 2095, 2163, 9999):
        sale = it.sale(amount=1, starts_at=f"{year}-01-01T00:00:00Z")
        wait = int(sale.claim(it.customer()).expect(409, "not-started").headers["Retry-After"])
        assert 2_000_000_000 < wait < 2**31, f"{year}: {wait}"


@case("of sixteen requests to create the same coupon one succeeds")
def created_once(it):
    seller = it.seller()
    for segments in (1, 64):
        body = {"name": it.name("twin"), "amount": 64, "stock": 1, "description": "", "segments": segments}
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: it.new_client().ask("POST", seller.path + "/coupons", seller, body).status,
                                    range(16)))
        same(sorted(answers), [201] + 15 * [400], "answers")


@case("no units are added to a sale that has ended")
def added_too_late(it):
    sale = it.sale(amount=1, ends_at=rfc3339(now_ms() + round(1000 * allowed(0.6))))
    until(lambda: sale.read()["state"] == "ended", 5, "the end")
    it.ask("PATCH", sale.path + "/stock", sale.seller, {"add": 1}).expect(410, "ended")
    same(sale.read()["amount"], 1, "amount")


@case("units are added: a sold-out sale sells exactly these")
def added(it):
    sale, users = it.sale(amount=2, segments=2), it.users(12)
    for user in users[:2]:
        sale.win(user)
    sale.claim(users[2]).expect(410, "sold-out")
    for amount in (3, 10):
        more = amount - sale.amount
        same(it.ask("PATCH", sale.path + "/stock", sale.seller, {"add": more}).expect(200).json["amount"], amount,
             "amount")
        seen = sale.read()
        same((seen["state"], seen["amount"], seen["left"]), ("open", amount, more), "state, amount, left")
        for user in users[sale.amount:amount]:
            sale.win(user)
        sale.claim(users[amount]).expect(410, "sold-out")
        sale.amount = amount
    listed = data(it, sale.seller.path + "/coupons", sale.seller)
    same([(c["amount"], c["left"]) for c in listed], [(10, 0)], "amount and left in the list")
    sale.drained()
    sale.audit()


@case("two sellers may use the same name for a coupon")
def one_name(it):
    one, other = (it.sale(name="same", amount=1, stock=i) for i in (1, 2))
    users = it.users(2)
    one.win(users[0])
    one.claim(users[1]).expect(410, "sold-out")
    other.win(users[1])
    other.claim(users[0]).expect(410, "sold-out")
    same([c["stock"] for c in data(it, users[1].path + "/coupons", users[1])], [2], "won")
    again = {"name": "same", "amount": 1, "stock": 1, "description": ""}
    it.ask("POST", one.seller.path + "/coupons", one.seller, again).expect(400, "duplicate-coupon")


@case("names of coupons may contain any printable characters")
def coupon_names(it):
    seller, user = it.seller(), it.customer()
    for name in NAMES:
        sale = it.sale(seller, name, description=name)
        same(sale.location, f"{seller.path}/coupons/{quote(name)}", "Location")
        read = it.ask("GET", sale.location).expect(200).json
        same((read["name"], read["description"]), (name, name), "the coupon")
        order = it.ask("PATCH", sale.location, user).expect(201).json["order"]
        same(it.ask("POST", sale.location + "/claims", user).expect(200).json["order"], order, f"order of {name!r}")
        same(it.ask("GET", f"/api/orders/{order}", user).expect(200).json["coupon"], name, "coupon of the order")
    won = [name for n in (1, 2) for name in names(data(it, f"{user.path}/coupons?page={n}", user))]
    same(won, NAMES[::-1], "coupons won")


@case("names of users may contain any printable characters")
def user_names(it):
    for name in NAMES:
        seller, user = it.account(name, "saler"), it.account(name[:59] + "'", "customer")
        sale = it.sale(seller, name)
        order = sale.win(user)
        same(names(data(it, seller.path + "/coupons", user)), [name], "on sale")
        same([c["seller"] for c in data(it, user.path + "/coupons", user)], [name], "won")
        same([o["order"] for o in data(it, user.path + "/orders", user)], [order], "orders")
        it.ask("POST", "/api/auth/logout", user).expect(200)


@case("names that look alike are different: case, blanks, composed and decomposed letters")
def different_names(it):
    names = ["twin", "Twin", "twin ", " twin", "twín", "twi\u0301n"]
    for name in names:
        it.register(name, "customer").expect(201)
        it.register(name, "customer").expect(400, "name-taken")
    for name in names:
        same(it.log_in(name).expect(200).json["kind"], "customer", name)
    it.log_in("TWIN").expect(401, "wrong-login")


@case("percent-encoding: every spelling of a path is the same path")
def spellings(it):
    sale, user = it.sale(it.account("Spell er", "saler"), "c%d e"), it.customer()
    order = sale.win(user)
    for path in ("/api/users/%53pell%20er/coupons/c%25d%20e", "/api/users/Spell%20er/coupons/%63%25%64%20%65",
                 "/%61pi/users/Spell%20er/coupons/c%25d%20e/"):
        same(it.ask("POST", path.rstrip("/") + "/claims", user).expect(200).json["order"], order, path)
        it.ask("PATCH", path, user).expect(204, "already-claimed")


@case("a trailing slash changes nothing")
def trailing_slash(it):
    sale, user = it.sale(), it.customer()
    order = it.ask("POST", sale.path + "/claims/", user).expect(201).json["order"]
    it.ask("PATCH", sale.path + "/", user).expect(204, "already-claimed")
    for path in (sale.path, sale.seller.path + "/coupons", user.path + "/coupons", user.path + "/orders",
                 f"/api/orders/{order}", "/healthz", "/readyz", "/metrics", "/api/time"):
        it.ask("GET", path + "/", user).expect(200)
    name = it.name("slash")
    it.ask("POST", "/api/users/", body={"username": name, "password": PASSWORD, "kind": "saler"}).expect(201)
    token = it.ask("POST", "/api/auth/", body={"username": name, "password": PASSWORD}).expect(200).json["token"]
    body = {"name": "x", "amount": 1, "stock": 1, "description": ""}
    it.ask("POST", f"/api/users/{name}/coupons/", body=body, authorization=token).expect(201)
    it.ask("POST", "/api/auth/logout/", authorization=token).expect(200)


@case("HEAD is GET without the body")
def head(it):
    sale, user = it.sale(), it.customer()
    order = sale.win(user)
    sale.drained()
    for path in (sale.path, user.path + "/coupons", f"/api/orders/{order}", "/api/time", "/healthz", "/readyz"):
        get, only = it.ask("GET", path, user).expect(200), it.ask("HEAD", path, user)
        same((only.status, only.body), (200, b""), f"HEAD {path}")
        for field in ("Content-Type", "Content-Length"):
            same(only.headers[field], get.headers[field], f"{field} of HEAD {path}")
    same(it.ask("HEAD", "/api/users/x/coupons/none").status, 404, "HEAD of nothing")


@case("the sale clock, health, readiness and metrics")
def operations(it):
    assert abs(clock_ms(it) - now_ms()) < 1000
    same(it.ask("GET", "/healthz").expect(200).json, {"errMsg": ""}, "health")
    same(it.ask("GET", "/readyz").expect(200).json, {"errMsg": "", "wait_replicas": 0, "warnings": [], "closed": []}, "readiness")
    metrics = it.ask("GET", "/metrics").expect(200)
    same(metrics.headers.get_content_type(), "text/plain", "type of the metrics")
    counts = dict(line.rsplit(" ", 1) for line in metrics.body.decode().splitlines() if not line.startswith("#"))
    assert int(counts['seckill_claims_total{end="won"}']) > 50, counts
    assert int(counts["seckill_drained_orders_total"]) > 50, counts
    assert int(counts["seckill_dead_letters_total"]) == 0, counts
    status = json.loads(it.ctl("--json", "status").stdout)
    assert status["coupons"], status
    host = status["host"]
    for title in ("claims", "scripts", "stock_moves", "stock_units"):
        shown = {line.split('"')[1]: int(n) for line, n in counts.items() if line.startswith(f"seckill_{title}_total")}
        same(host[title], shown, title)
    in_metrics = float(counts["seckill_scripts_per_win"]) * 1000  # one is rounded, the other cut
    assert abs(in_metrics - host["scripts_per_1000_wins"]) <= 1, f"{in_metrics}, not {host['scripts_per_1000_wins']}"
    assert 1000 <= host["scripts_per_1000_wins"] < 5000, host
    text = it.ctl("status").stdout.splitlines()
    same(text[-1], f"scripts per winning claim: {host['scripts_per_1000_wins'] / 1000:.3f}", "the last line as text")


@case("every key in Redis is made of integers only")
def integer_keys(it):
    keys = it.redis.keys()
    assert len(keys) > 100, len(keys)
    same([k for k in keys if not KEYS.fullmatch(k)], [], "other keys")


@case("after all this, the audit is balanced")
def balanced(it):
    audit = it.ctl("audit")
    same(audit.returncode, 0, audit.stdout + audit.stderr)


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1)
