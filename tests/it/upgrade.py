#!/usr/bin/env -S python3 -B
"""An instance of an earlier version is started by this one: nothing is lost, every sale goes on, the books are right.

tests/it/earlier has the dumps (make.py there made them, from the version whose name they bear).
"""

import contextlib
import json
import shutil
import socket
import subprocess

from harness import BUILD, SOURCE, User, claims_of, main
from judge import pairs
from sale import Sale
from tap import case, pause, same, until

LAYOUT, RANGE = 2, 1 << 20
EARLIER = SOURCE / "tests/it/earlier"
VERSIONS = {"c034750": 0, "3600dfe": 1, "0375a1f": 1, "165c73a": 2}  # name -> layout of its slots


class Upgraded:
    """The instance with an earlier version's data, its users and its sales."""

    def __init__(self, it, version):
        self.it, self.told = it, json.loads((EARLIER / version / "told.json").read_text())
        self.customers = {}
        done = it.ctl("token", *self.told["users"])
        assert done.returncode == 0, done
        for line in done.stdout.splitlines():
            user = User(*line.split("\t"))
            self.customers[user.name] = user
        same({u.name: u.id for u in self.customers.values()}, self.told["users"], "ids of users")
        token = it.log_in("shop", self.told["password"]).expect(200).headers["Authorization"]
        self.seller = User("shop", claims_of(token)["sub"], token)

    def sale(self, name, amount):
        return Sale(self.it, self.seller, name, amount, f"/api/users/shop/coupons/{name}")


def load(it, version):
    """Puts an earlier version's data in the place of the instance's own. MySQL runs, nothing else does."""
    for part in ("nginx", "drain", "cold", "auth", "hot"):
        it.dev("stop", part)
    it.dev("stop", "redis")
    it.redis.close()
    it.client.close()
    it.sql("DROP DATABASE seckill; CREATE DATABASE seckill CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    subprocess.run([*it.sql.command], input=(EARLIER / version / "mysql.sql").read_bytes(), check=True)
    shutil.rmtree(it.run / "data/redis")
    shutil.copytree(EARLIER / version / "redis", it.run / "data/redis")
    (it.run / "marks").unlink()  # of other sales with the same ids, which were counted once


def insist(sale, user):
    """A claim, asked again while the sale is brought up to date."""
    return until(lambda: (a := sale.claim(user)).code not in ("busy", "unavailable") and a, 10, "an answer", every=0.02)


def upgraded(it, version):
    load(it, version)
    it.dev("start")
    same(it.sql.number("SELECT MAX(version) FROM schema_migrations"), newest(), "version of the schema")
    return Upgraded(it, version)


def newest():
    return max(int(path.name[:3]) for path in (SOURCE / "sql").glob("*.sql"))


def keeps(old, name, sale):
    """Whoever was told a number, or a refusal, is told it again."""
    for user, told in old.told["told"][name].items():
        answer = insist(sale, old.customers[user])
        same(answer.json["order"] if answer.status < 300 else answer.code, told, f"{user} of {name}")


def goes_on(it, version):
    old = upgraded(it, version)
    names = {"open": (60, 23), "gone": (6, 6), "upcoming": (10, 0), "untouched": (10, 0)}
    sales = {name: old.sale(name, amount) for name, (amount, _) in names.items()}
    fresh = [u for u in old.customers.values() if u.name not in old.told["told"]["open"] and u.name not in old.told["dead"]]
    # the first claim of all meets slots that nobody has looked at
    new = {insist(sales["open"], fresh[0]).won()}
    for name in ("open", "gone"):
        keeps(old, name, sales[name])
    new |= {insist(sales["open"], user).won() for user in fresh[1:]}
    same(len(new), len(fresh), "new order numbers")
    same(new & set(old.told["told"]["open"].values()), set(), "numbers given twice")
    insist(sales["upcoming"], fresh[0]).expect(409, "not-started")
    insist(sales["untouched"], fresh[0]).won()
    for (user, number) in old.told["dead"].items():
        same(insist(sales["open"], old.customers[user]).expect(200).json["order"], number, "the order of a dead letter")
    same(it.sql("SELECT COUNT(*) FROM dead_letters WHERE state = 0")[0][0], "2", "open dead letters")
    until(lambda: all(s.queued() == 0 for s in sales.values()), 15, "lists are drained")
    same(len(sales["open"].rows()), 22 + len(new), "rows of the open sale")
    same(len(sales["gone"].rows()), 6, "rows of the sold-out sale")
    same(it.ask("GET", "/readyz").expect(200).json["closed"], [], "closed sales")
    for name, sale in sales.items():
        is_of_this_layout(it, name, sale)
    for name in ("gone", "upcoming", "untouched"):
        sales[name].audit()
    found = json.loads(it.ctl("--json", "audit", sales["open"].title).stdout)[0]["problems"]
    same({f["kind"] for f in found}, {"dead-letter"}, "findings of the open sale")
    rows = it.sql(f"SELECT DISTINCT status, pay_by_ms FROM orders WHERE coupon_id IN ({sales['open'].id}, {sales['gone'].id})")
    same(rows, [["5", "0"]], "statuses and times to pay of orders without payment")
    # units may be added, and new sales and users come
    it.ask("PATCH", sales["gone"].path + "/stock", old.seller, {"add": 1}).expect(200)
    insist(sales["gone"], fresh[0]).won()
    later = it.sale(old.seller, "later", amount=2)
    insist(later, it.customer()).won()
    later.drained()
    later.audit()


def slots_of(it, sale):
    return [pairs(it.redis("HGETALL", key)) for key in (sale.key("hub"), *(sale.key("s", i) for i in range(sale.segments)))]


def cursor_bases(it, sale):
    return [row[0] for row in it.sql(f"SELECT base FROM drain_cursors WHERE coupon_id = {sale.id} ORDER BY segment")]


def still(old, name, sale):
    """What customers of an earlier version are told of their orders while no slot of their sale was looked at."""
    for user, told in old.told["told"][name].items():
        if told[0].isdigit():
            answer = old.it.ask("GET", f"/api/orders/{told}", old.customers[user]).expect(200)
            assert answer.json["status"] in ("confirmed", "queued"), f"{told} of {user}: {answer}"


def is_of_this_layout(it, name, sale):
    """Fields and fences of every slot, and what MySQL has handed out for them."""
    until(lambda: [s["base"] for s in slots_of(it, sale)[1:]] == cursor_bases(it, sale), 10, f"bases of {name}")
    slots = slots_of(it, sale)
    for slot in slots:
        assert slot["fence"].startswith(f"{LAYOUT}:") and "@" in slot["fence"], f"fence of {name}: {slot['fence']}"
        same({"n", "gen"} & set(slot), set(), f"fields of earlier layouts in {name}")
    bases = [int(slot["base"]) for slot in slots[1:]]
    assert all(base and base % RANGE == 0 for base in bases), f"bases of {name}: {bases}"
    rows = it.sql(f"SELECT segment, count FROM number_ranges WHERE coupon_id = {sale.id} AND base = 0")
    early = it.sql(f"SELECT segment, MAX(seq) FROM orders WHERE coupon_id = {sale.id} AND seq < {RANGE} GROUP BY segment")
    counts = {int(segment): int(count) for segment, count in rows}
    assert all(counts[int(segment)] >= int(last) for segment, last in early), f"ranges of {name}: {counts}, {early}"
    term = it.sql.number(f"SELECT hub_term FROM coupons WHERE id = {sale.id}")
    assert 0 < int(slots[0]["term"]) <= term, f"term of {name}: {slots[0]['term']}, handed out: {term}"


def version_case(version):
    @case(f"data of {version}: brought up to date beside a MySQL that runs, sold on, audited")
    def _(it):
        goes_on(it, version)


for _version in VERSIONS:
    version_case(_version)


@case("a sale of 165c73a with pay_within: its orders of before are confirmed, those on its lists are to be paid, and so are new ones")
def pay_within(it):
    old = upgraded(it, "165c73a")
    sale = old.sale("paid", 8)
    keeps(old, "paid", sale)
    fresh = [u for u in old.customers.values() if u.name not in old.told["told"]["paid"]]
    new = insist(sale, fresh[0]).won()
    sale.drained()
    rows = it.sql(f"SELECT seq > {RANGE}, status, COUNT(*), MIN(pay_by_ms > claimed_at_ms), MAX(pay_by_ms > 0) FROM orders "
                  f"WHERE coupon_id = {sale.id} GROUP BY 1, 2 ORDER BY 1, 2")
    same(rows, [["0", "1", "2", "1", "1"], ["0", "5", "4", "0", "0"], ["1", "1", "1", "1", "1"]], "orders")
    same(it.sql.number(f"SELECT COUNT(*) FROM unpaid_orders WHERE coupon_id = {sale.id}"), 3, "orders that may expire")
    for user, number in old.told["told"]["paid"].items():
        said = it.ask("GET", f"/api/orders/{number}", old.customers[user]).expect(200).json["status"]
        assert said in ("confirmed", "pending"), f"{number}: {said}"
    same(it.ask("GET", f"/api/orders/{new}", fresh[0]).expect(200).json["status"], "pending", "the new one")
    until(lambda: it.redis("HMGET", sale.key("hub"), "pays", "final") == ["1", "4"], 20, "the hub is told")
    sale.audit()
    it.dev("stop", "redis", "-9")
    it.redis.close()
    it.dev("start", "redis")
    keeps(old, "paid", sale)
    insist(sale, fresh[1]).won()
    sale.drained()
    sale.audit()


@case("before a drainer has upgraded sales of layout 1 they are busy, not fenced, and their orders can be read; recover upgrades them, too")
def untouched(it):
    load(it, "0375a1f")
    for part in ("redis", "hot", "cold", "auth", "nginx"):
        it.dev("start", part)
    old = Upgraded(it, "0375a1f")
    sales = {name: old.sale(name, amount) for name, amount in (("open", 60), ("gone", 6))}
    for name, sale in sales.items():
        assert not slots_of(it, sale)[0]["fence"].startswith(f"{LAYOUT}:"), "it was looked at already"
        still(old, name, sale)
        it.ask("GET", sale.path).expect(503, "busy")
        sale.claim(next(iter(old.customers.values()))).expect(503, "busy")
    shown = it.ask("GET", old.seller.path + "/coupons", old.seller).expect(200).json["data"]
    same(len(shown), 4, "sales that the seller sees")
    for sale in sales.values():
        done = it.ctl("-c", it.run / "drain.conf", "recover", sale.title)
        assert done.returncode == 0, f"recover: {done.stdout}{done.stderr}"
    it.dev("start", "drain")
    for name, sale in sales.items():
        is_of_this_layout(it, name, sale)
        keeps(old, name, sale)
    fresh = next(u for u in old.customers.values() if u.name not in old.told["told"]["open"] and u.name not in old.told["dead"])
    number = sales["open"].win(fresh)
    assert int(number.split("-")[2]) > RANGE, number
    sales["gone"].audit()


@case("customers' lists, which earlier versions kept on a single server, are removed while a sale goes on; nobody misses them")
def lists_are_removed(it):
    load(it, "0375a1f")
    it.dev("start", "redis")
    kept = it.redis("KEYS", "sk:u:*")
    assert kept, "the earlier version has kept none"
    for first in range(1 << 50, (1 << 50) + 20000, 2000):
        it.redis("EVAL", "for n = ARGV[1], ARGV[1] + 1999 do redis.call('ZADD', string.format('sk:u:{%d}', n), 1, '7-0-1') end",
                 0, first)
    it.redis("ZADD", "sk:u:{7}", *(word for n in range(5000) for word in (n, f"{n}-0-1")))
    it.redis("SET", "sk:u:{8}", "no list")
    others = {key for key in it.redis("KEYS", "*") if not key.startswith("sk:u:") and not key.endswith(":q")}
    it.dev("start")
    old, sale = Upgraded(it, "0375a1f"), it.sale(amount=400, segments=4)
    outcomes = sale.rush(it.users(400), connections=8)
    old_keys = ["sk:u:{7}", "sk:u:{8}", *kept, *("sk:u:{%d}" % n for n in range(1 << 50, (1 << 50) + 20000, 7))]
    until(lambda: it.redis("EXISTS", *old_keys) == 0, 60, "they are removed")
    log = until(lambda: "retired_keys_removed" in (text := (it.run / "log/drain.log").read_text()) and text, 10, "a line of the log")
    assert "retired" not in (it.run / "log/hot.log").read_text(), log
    same(others - set(it.redis("KEYS", "*")) - {"sk:dirty"}, set(), "keys that are gone besides")
    sale.prove(outcomes)
    for name, told in old.told["told"]["open"].items():
        if told[0].isdigit():
            user = old.customers[name]
            listed = {kind: it.ask("GET", f"{user.path}/{kind}", user).expect(200).json["data"] for kind in ("orders", "coupons")}
            assert told in [o["order"] for o in listed["orders"]], f"{told} of {name}: {listed}"
            assert "open" in [c["name"] for c in listed["coupons"]], f"{told} of {name}: {listed}"


def refused(it, program, settings, *words):
    """What a program says that does not start; a socket is its standard input, as a pool would have it."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(it.run / "tmp" / it.name("socket")))
        listening.listen()
        done = subprocess.run([BUILD / program, "-c", it.run / settings, *words], stdin=listening, capture_output=True,
                              text=True, timeout=20, env=it.environment)
    same(done.returncode, 78, f"exit code of {program}: {done.stderr}")
    return done.stderr


@contextlib.contextmanager
def schema(it, change, back):
    it.sql(change)
    try:
        yield
    finally:
        it.sql(back)
        until(lambda: it.ask("GET", "/readyz").status == 200, 10, "ready again")


def programs():
    return (("seckill-api", "seckill.conf", "-p", "cold"), ("seckill-orderd", "drain.conf"),
            ("seckillctl", "seckill.conf", "audit"))


def not_ready(it, *words):
    answer = until(lambda: (a := it.ask("GET", "/readyz")).status == 503 and a, 10, "/readyz says no")
    for word in words:
        answer.expect(503, "unavailable").names(word)


@case("Redis is rolled back to before the upgrade: orders that MySQL has are written back, and no number is given twice")
def redis_from_before(it):
    old = upgraded(it, "0375a1f")
    sale = old.sale("open", 60)
    fresh = [u for u in old.customers.values() if u.name not in old.told["told"]["open"] and u.name not in old.told["dead"]]
    told = {user: insist(sale, user).won() for user in fresh[:8]}
    sale.drained()
    it.dev("stop", "redis", "-9")
    it.redis.close()
    shutil.rmtree(it.run / "data/redis")
    shutil.copytree(EARLIER / "0375a1f/redis", it.run / "data/redis")
    it.dev("start", "redis")
    keeps(old, "open", sale)
    for user, number in told.items():
        same(insist(sale, user).expect(200).json["order"], number, f"the order of {user}")
    new = {insist(sale, user).won() for user in fresh[8:]}
    same(new & set(told.values()), set(), "numbers given twice")
    is_of_this_layout(it, "open", sale)
    sale.drained()
    same(it.ask("GET", "/readyz").expect(200).json["closed"], [], "closed sales")
    found = json.loads(it.ctl("--json", "audit", sale.title).stdout)[0]["problems"]
    same({f["kind"] for f in found}, {"dead-letter"}, "findings")


@case("a schema of another version: every program that is running or starting refuses it, and names both versions")
def other_schema(it):
    wanted = newest()
    changes = {wanted + 7: (f"INSERT INTO schema_migrations (version, name) VALUES ({wanted + 7}, 'later')",
                            f"DELETE FROM schema_migrations WHERE version = {wanted + 7}"),
               wanted - 1: (f"UPDATE schema_migrations SET version = 1000 + version WHERE version = {wanted}; "
                            f"UPDATE schema_migrations SET version = 0 WHERE version = 1000 + {wanted}",
                            f"UPDATE schema_migrations SET version = {wanted} WHERE version = 0")}
    sale, users = it.sale(amount=10), it.users(4)
    for there, (change, back) in changes.items():
        with schema(it, change, back):
            for program in programs():
                text = refused(it, *program)
                assert f"version {there}" in text and f"version {wanted}" in text, text
            not_ready(it, f"version {there}", f"version {wanted}")
            pause(1.1, "every process notices: a connection is checked once a second")
            it.ask("GET", f"/api/users/{users[0].name}/orders", users[0]).expect(503, "unavailable")
            sale.claim(users.pop()).expect(201)  # the hot pool does not need MySQL
            same(len(sale.rows()), 4 - len(users) - 1, "nothing is drained into it")
            check = it.ctl("check")
            same(check.returncode, 1, f"{check.stdout}{check.stderr}")
            assert f"version {there}" in check.stdout, check.stdout
        sale.drained()


@case("sales of a newer layout in Redis: no program starts, and /readyz names both layouts")
def newer_layout(it):
    until(lambda: it.redis("GET", "sk:layout") == str(LAYOUT), 10, "the drainers have recorded the layout")
    it.redis("SET", "sk:layout", LAYOUT + 1)
    try:
        for program in (*programs(), ("seckill-api", "seckill.conf", "-p", "hot")):
            text = refused(it, *program)
            assert f"layout {LAYOUT}" in text and f"layout {LAYOUT + 1}" in text, text
        not_ready(it, f"layout {LAYOUT}", f"layout {LAYOUT + 1}")
    finally:
        it.redis("SET", "sk:layout", LAYOUT)


@case("a slot of a newer layout sells nothing, is reported, and is not changed")
def newer_slot(it):
    sale, user = it.sale(amount=4, segments=1), it.customer()
    fence = it.redis("HGET", sale.key("s", 0), "fence")
    newer = f"{LAYOUT + 1}:" + fence.split(":")[1]
    it.redis("HSET", sale.key("s", 0), "fence", newer)
    sale.claim(user).expect(503, "fenced")
    until(lambda: sale.title in it.ask("GET", "/readyz").json["closed"], 10, "/readyz names it")
    log = it.run / "log/drain.log"
    until(lambda: [line for line in log.read_text().replace("\\x20", " ").splitlines()
                   if str(sale.id) in line and f"layout {LAYOUT + 1}" in line and f"layout {LAYOUT}" in line], 5, "a line in the log")
    same(it.redis("HGET", sale.key("s", 0), "fence"), newer, "the fence")
    it.redis("HSET", sale.key("s", 0), "fence", fence)
    until(lambda: sale.claim(user).status == 201, 10, "it sells again")


@case("an id that is taken: another one is drawn, for users and for coupons")
def taken_ids(it):
    seller, other = it.seller(), it.sale()
    for table, taken in (("users", seller.id), ("coupons", other.id)):
        it.sql(f"CREATE TRIGGER {table}_drawn BEFORE INSERT ON {table} FOR EACH ROW "
               f"SET NEW.id = IF(@drawn IS NULL AND (@drawn := 1), {taken}, NEW.id)")
    for part in ("cold", "auth"):  # sessions that have not drawn yet
        it.dev("stop", part)
        it.dev("start", part)
    try:
        new = it.account(it.name("drawn"), "seller")
        assert new.id != seller.id, new
        sale = it.sale(new, amount=3)
        assert sale.id != other.id, sale.id
        sale.win(it.customer())
    finally:
        it.sql("DROP TRIGGER users_drawn; DROP TRIGGER coupons_drawn")


@case("ids are random, below 2^48, and not counted by MySQL")
def random_ids(it):
    sales = [it.sale(amount=1) for _ in range(3)]
    ids = [u.id for u in it.users(5)] + [s.id for s in sales]
    assert all(0 < id < 2**48 for id in ids) and min(ids) > 2**20 and len(set(ids)) == 8, ids
    for table in ("users", "coupons"):
        assert "AUTO_INCREMENT" not in it.sql(f"SHOW CREATE TABLE {table}")[0][1].upper(), table


main(SECKILL_PASSWORD_COST=1, SECKILL_LOGIN_DELAY=0)
