"""The table of cases, the drain, the flood of logins, and the readers of a long list."""

import json
import threading
import time

from bench_run import CEILING, PEER, SERVICE
from bench_rig import PASSWORD, Wrk, cpu_us
from segments import sell, servers
from tap import pause, until

CLAIM = "/api/users/shop/coupons/sale/claims"


def ceiling(path, **more):
    return lambda b, world: b.wrk(CEILING, path, b.rig.ceiling, **({"tokens": b.tokens, "method": "POST"} | more))


def won(b, world, **more):
    return b.claims(b.sale("won"), **more)


def peer_won(b, world, connections=None):
    name, connections = b.it.name("won"), connections or b.o.connections
    measured = b.wrk(PEER, b.rig.peer_sale(name, b.o.tokens), b.rig.peer, tokens=b.tokens, method="POST",
                     connections=connections)
    b.winners_only(measured, f"the peer's {name}")
    b.peer_sales.append((name, measured.requests - measured.refused, measured.requests + connections))
    return measured


def many(measure):
    return lambda b, world: measure(b, world, connections=256)


def peer_sold_out(b, world):
    return refused(b, b.wrk(PEER, b.rig.peer_sale("none", 0), b.rig.peer, tokens=b.tokens, method="POST"), "the peer")


def sold_out(path, method, is_error):
    def measure(b, world):
        measured = b.wrk(SERVICE, world["few"].path + path, tokens=b.tokens, method=method)
        return refused(b, measured, "sold out", is_error)
    return measure


def all_held(b, world):
    return refused(b, b.wrk(SERVICE, world["held"].path + "/claims", tokens=b.tokens, method="POST"), "all held")


def refused(b, measured, what, is_error=True):
    wanted = measured.requests if is_error else 0
    if measured.refused != wanted:
        b.problems.append(f"{what}: {measured.refused} answers of {measured.requests} were errors, not {wanted}")
    return measured


def read(path, **more):
    def measure(b, world):
        wishes = {name: b.tokens if name == "tokens" else value for name, value in more.items()}
        return refused(b, b.wrk(SERVICE, path(b, world), **wishes), "read", False)
    return measure


def credentials(b):
    return json.dumps({"username": b.seller.name, "password": PASSWORD})


def login(b, world):
    return refused(b, b.wrk(SERVICE, "/api/auth", method="POST", body=credentials(b)), "login", False)


# name, title, what it needs (drainers, sync), function; in the order of a round
IDLE, BUSY, DISK, SHIPPED = (False, "everysec"), (True, "everysec"), (False, "always"), (True, "always")
CASES = [
    ("return_200", "nginx return 200", IDLE, ceiling("/200", tokens=None, method="GET")),
    ("return_204", "nginx return 204, the claim's headers", IDLE, ceiling("/204")),
    ("hello", "FastCGI hello in C, the claim's headers", IDLE, ceiling(CLAIM)),
    ("won", "claim, won", IDLE, won),
    ("peer_won", "nginx + Lua peer: claim, won", IDLE, peer_won),
    ("won_256", "claim, won, 256 connections", IDLE, many(won)),
    ("peer_won_256", "nginx + Lua peer: claim, won, 256 connections", IDLE, many(peer_won)),
    ("sold_out", "claim, sold out", IDLE, sold_out("/claims", "POST", True)),
    ("all_held", "claim, all held", IDLE, all_held),
    ("peer_sold_out", "nginx + Lua peer: sold out", IDLE, peer_sold_out),
    ("patch_sold_out", "PATCH, sold out", IDLE, sold_out("", "PATCH", False)),
    ("read", "coupon, read", IDLE, read(lambda b, world: world["few"].path)),
    ("list", "list of a seller's coupons, read", IDLE, read(lambda b, world: b.seller.path + "/coupons", tokens=True)),
    ("login", "login", IDLE, login),
    ("won_always", "claim, won, fsync always", DISK, won),
    ("peer_won_always", "nginx + Lua peer: claim, won, fsync always", DISK, peer_won),
    ("won_shipped", "claim, won, fsync always, drainers running", SHIPPED, won),
    ("won_drained", "claim, won, drainers running", BUSY, won),
]


def enter(b, world, wanted):
    """Sets drainers and sync as the case needs them, once the orders of the case before are drained."""
    drainers, sync = wanted
    if drainers:
        b.drainers(True)
        b.drained()
    b.drainers(drainers)
    b.sync(sync)


def sell_out(b, name, **more):
    """A sale whose units all went to customers who do not claim again."""
    sale, winners = b.sale(name, amount=10, segments=4, **more), b.it.run / "winners"
    winners.write_text("".join(user.token + "\n" for user in b.it.users(10)))
    b.load(sale, tokens=winners)
    b.load(sale, tokens=b.some_tokens(min(1000, b.o.tokens)))
    return sale


def rounds(b):
    cases = [case for case in CASES if b.wants(case[0]) and (b.rig.has_peer or not case[0].startswith("peer"))]
    measured = {name: [] for name, *_ in cases}
    world = {"few": sell_out(b, "few"), "held": sell_out(b, "held", pay_within=86400)} if cases else {}
    for turn in range(b.o.rounds):
        for name, label, wanted, measure in cases:
            enter(b, world, wanted)
            m = measure(b, world)
            measured[name].append(m)
            b.say(f"round {turn + 1}/{b.o.rounds}: {label}: {m.per_second:,.0f} a second, p99 {m.p99_us / 1000:.1f} ms")
    enter(b, world, BUSY)
    return measured


def oldest(b, measured):
    """The longest time that an order waited for its row while claims ran at full speed, in milliseconds, by case."""
    ages = {}
    for name in ("won_drained", "won_shipped"):
        if ids := ",".join(str(m.sale.id) for m in measured.get(name, ())):
            ages[name] = b.it.sql.number("SELECT COALESCE(MAX(confirmed_at_ms - claimed_at_ms), 0) FROM orders "
                                         f"WHERE coupon_id IN ({ids})")
    return ages


# the drain

def drain(b):
    """In turn: a backlog, drained on the idle machine; and the same rows inserted by one connection, 500 in a statement."""
    rounds = [drain_once(b) for _ in range(b.o.rounds)]
    return {name: [r[name] for r in rounds] for name in rounds[0]}


def drain_once(b):
    """Customers who have no orders yet: their first one takes more of Redis's memory."""
    enter(b, None, BUSY)
    b.drainers(False)
    customers = b.mint(b.it.name("newcomer"), b.o.backlog)
    with b.growing_file():
        sale, before = b.sale("backlog", amount=b.o.backlog), b.redis_info()
        won = b.load(sale, tokens=customers)["won"]
        file = b.redis_info()["aof_current_size"] - before["aof_current_size"]
    first, last, spent = confirm(b, sale, won)
    pause(1, "Redis frees the buffers of the drain")
    memory = b.redis_info()["used_memory"] - before["used_memory"]
    rate, raw = won / (last - first), raw_insert(b, sale)
    return {"orders": won, "seconds": round(last, 3), "rows_per_second": round(rate), "raw_rows_per_second": round(raw),
            "to_raw": round(rate / raw, 3), "file_bytes": round(file / won, 1), "memory_bytes": round(memory / won, 1),
            "cpu_us_per_order": {group: round(us / won, 2) for group, us in spent.items()}}


def confirm(b, sale, count):
    """Starts the drainers on a backlog. Returns the seconds until the first and the last order left its list, and the CPU."""
    groups = ("drain", "mysql", "redis")
    before = {group: cpu_us(b.it.pids(group)) for group in groups}
    starting = threading.Thread(target=b.it.dev, args=("start", "drain"))
    began = time.monotonic()
    starting.start()
    until(lambda: sale.queued() < count, 60, "the first order is drained")
    first = time.monotonic()
    until(lambda: sale.queued() == 0, 600, "the last order is drained")
    last = time.monotonic()
    starting.join()
    return first - began, last - began, {group: cpu_us(b.it.pids(group)) - before[group] for group in groups}


def raw_insert(b, sale):
    """Rows a second of one connection that inserts the sale's rows in statements, and transactions, of 500."""
    rows = b.it.sql("SELECT coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms FROM orders "
                    f"WHERE coupon_id = {sale.id} ORDER BY claimed_at_ms")
    head = "INSERT INTO bench_orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) VALUES "
    texts = ["(" + ",".join(row) + ")" for row in rows]
    statements = "".join(head + ",".join(texts[i:i + 500]) + ";\n" for i in range(0, len(texts), 500))
    b.it.sql("DROP TABLE IF EXISTS bench_orders; CREATE TABLE bench_orders LIKE orders")
    began = time.monotonic()
    b.it.sql(statements)
    took = time.monotonic() - began
    began = time.monotonic()
    b.it.sql("DO 0")
    took -= time.monotonic() - began  # without starting the client
    b.it.sql("DROP TABLE bench_orders")
    return len(rows) / took


# the flood

def logins_so_far(b):
    return b.counters()['seckill_logins_total{end="ok"}']


def login_flood(b):
    """p99 of winning claims without and with a flood of logins on the auth pool, in turn; and the logins beside them."""
    enter(b, None, BUSY)
    b.drainers(False)
    quiet, flooded, logins = [], [], []
    for _ in range(b.o.rounds):
        quiet.append(b.claims(b.sale("quiet")))
        flood = Wrk(b.url, "/api/auth", b.o.seconds + 2, 16, method="POST", body=credentials(b))
        pause(0.5, "the flood is under way")
        sale, before = b.sale("flooded"), logins_so_far(b)
        flooded.append(b.claims(sale))
        logins.append((logins_so_far(b) - before) * 1e6 / flooded[-1].duration_us)
        flood.done()
    def rates(runs):
        return [round(m.per_second) for m in runs]
    return {"p99_us": [m.p99_us for m in quiet], "p99_us_flooded": [m.p99_us for m in flooded],
            "p99_to_quiet": [round(a.p99_us / b.p99_us, 3) for a, b in zip(flooded, quiet)],
            "per_second": rates(quiet), "per_second_flooded": rates(flooded),
            "logins_per_second": [round(rate) for rate in logins]}


# the readers

def long_list(b):
    """p50 of claims, 400 a second, without and with 8 connections that read the list of 20 large sales, in turn."""
    enter(b, None, BUSY)
    b.drainers(False)
    seller, token = b.fresh().seller(), b.it.run / "reader"
    for _ in range(20):
        b.it.sale(seller, amount=256, segments=256)
    token.write_text(seller.token + "\n")
    alone, beside, pages = [], [], []
    for _ in range(b.o.rounds):
        alone.append(paced_claims(b))
        readers = Wrk(b.url, seller.path + "/coupons", b.o.seconds + 2, 8, tokens=token)
        pause(1, "the readers are under way")
        beside.append(paced_claims(b))
        pages.append(round(refused(b, readers.done(), "long list", False).per_second, 1))
    return {"p50_us": alone, "p50_us_beside_readers": beside, "pages_per_second": pages,
            "p50_to_alone": [b / a for a, b in zip(alone, beside)]}


def paced_claims(b):
    return b.load(b.sale("paced"), "--rate", 400, "--seconds", b.o.seconds)["latency"]["p50_us"]


# without HTTP

def engine(b):
    """In turn: one Redis with a file, by both ways of fsync; one without a file, and three masters without files."""
    segments = {1: b.sale("engine", amount=b.o.backlog).segments, 3: 3 * 4}  # as the service chooses them
    with servers(1, "--appendonly", "yes") as file, servers(1) as single, servers(3) as masters:
        rounds = [engine_once(b, segments, file, single, masters) for _ in range(b.o.rounds)]
    return {"segments": segments[1]} | {name: [r[name] for r in rounds] for name in rounds[0]}


def engine_once(b, segments, file, single, masters):
    measured = {}
    for policy in ("everysec", "always"):
        file[0].ask("CONFIG", "SET", "appendfsync", policy)
        done = sell(file, segments[1], b.o.backlog)
        measured[policy] = round(done["won"] / done["seconds"])
    alone, busiest = (max(sell(started, segments[len(started)], b.o.backlog)["cpu_s"]) for started in (single, masters))
    b.say(f"without HTTP: {measured['everysec']:,} wins a second, {measured['always']:,} with fsync always")
    return measured | {"busiest_to_single": round(busiest / alone, 3)}
