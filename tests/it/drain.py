#!/usr/bin/env -S python3 -B
"""The way of orders to MySQL: poison, repetitions and conflicts disturb nothing but themselves."""

import hashlib
import pathlib
import re
import signal
import subprocess
import time

from harness import BUILD, main
from sale import RANGE
from stores import Session, SqlError
from storm import Paused, kill
from tap import case, comment, every, pause, quick, same, until


def dead_letters(it, sale):
    """Records that were put aside: bytes -> reason."""
    rows = it.sql(f"SELECT HEX(record), reason FROM dead_letters WHERE coupon_id = {sale.id}")
    return {bytes.fromhex(row[0]): row[1] for row in rows}


def sold(it, sale):
    return it.sql.number(f"SELECT sold FROM coupons WHERE id = {sale.id}")


def empty(sale):
    return until(lambda: sale.queued() == 0, 10, f"the lists of {sale.title} are empty") or True


@case("orders of many segments reach MySQL once each, with cursors behind them")
def plain(it):
    sale, users = it.sale(amount=300, segments=7), it.users(250)
    with Paused(it):
        orders = {o.order: o.user.id for o in sale.rush(users, connections=10)}
        same((sale.queued(), sale.rows()), (250, {}), "before the drain")
    sale.drained()
    same(sale.rows(), orders, "orders")
    same(sold(it, sale), 250, "sold in MySQL")
    cursors = it.sql(f"SELECT segment, next_number FROM drain_cursors WHERE coupon_id = {sale.id}")
    same({int(s): int(n) for s, n in cursors}, {i: 1 + int(it.redis("HGET", sale.key("s", i), "last")) for i in range(7)},
         "cursors")
    odd = f"coupon_id = {sale.id} AND (status <> 5 OR confirmed_at_ms < claimed_at_ms)"
    same(it.sql(f"SELECT * FROM orders WHERE {odd}"), [], "odd rows")
    sale.audit()


def deadlines(it, sale):
    """The moments until which the sale's orders can be paid, of each table: number -> ms."""
    return [{f"{sale.id}-{row[0]}-{row[1]}": int(row[2]) for row in it.sql(query)} for query in (
        f"SELECT segment, seq, pay_by_ms FROM orders WHERE coupon_id = {sale.id} AND status = 1",
        f"SELECT segment, seq, pay_by_ms FROM unpaid_orders WHERE coupon_id = {sale.id}")]


@case("where payment is asked for, orders wait for it until pay_within after the claim, and the hub is to be told")
def unpaid(it):
    sale, users = it.sale(amount=40, segments=3, pay_within=900), it.users(20)
    orders = {o.order for o in sale.rush(users)}
    sale.drained()
    of_orders, of_unpaid = deadlines(it, sale)
    same((set(of_orders), of_unpaid), (orders, of_orders), "pending orders, and their deadlines")
    odd = f"SELECT * FROM orders WHERE coupon_id = {sale.id} AND pay_by_ms <> claimed_at_ms + 900000"
    same(it.sql(odd), [], "orders with other deadlines")
    sale.audit()


@case("an order that reaches MySQL late can still be paid for a minute, or for pay_within if that is shorter")
def late_row(it):
    def check(pay_within, least):
        sale, user = it.sale(amount=3, segments=1, pay_within=pay_within), it.customer()
        with Paused(it):
            order = sale.win(user)
            number, who, ms = it.redis("LINDEX", sale.key("q", 0), 0).split("|")
            it.redis("LSET", sale.key("q", 0), 0, f"{number}|{who}|{int(ms) - 890000}")  # so long ago
        sale.drained()
        inserted = it.sql.number(f"SELECT confirmed_at_ms FROM orders WHERE coupon_id = {sale.id}")
        same(deadlines(it, sale), [{order: inserted + least * 1000}] * 2, "deadlines")
    every([(900, 60), (20, 20)], check)


POISON = {"a word": b"garbage", "nothing": b"", "a number": b"7", "two parts": b"7|8", "words for numbers": b"a|b|c",
          "separators": b"|||", "a negative": b"-1|2|3", "zero": b"0|0|0", "a huge number": b"99999999999999999999|1|1",
          "blanks": b" 1 | 2 | 3 ", "a NUL": b"\0", "bad UTF-8": b"\xff\xfe\x80", "JSON": b'{"seq":1}',
          "4000 bytes": b"x" * 4000, "64 KiB": bytes(range(256)) * 256}


class Poisoned:
    """A sale with a record among its orders that is none."""

    def __init__(self, it, users, record):
        self.it, self.record, self.sale = it, record, it.sale(amount=10, segments=1)
        self.orders = {self.sale.win(user): user.id for user in users[:2]}
        it.redis("RPUSH", self.sale.key("q", 0), record)
        self.orders |= {self.sale.win(user): user.id for user in users[2:]}

    def prove(self):
        empty(self.sale)
        same(self.sale.rows(), self.orders, "orders in MySQL")
        same(list(dead_letters(self.it, self.sale)), [self.record[:4096]], "dead letters")
        same(sold(self.it, self.sale), 4, "sold")
        digest = self.it.sql(f"SELECT HEX(digest) FROM dead_letters WHERE coupon_id = {self.sale.id}")[0][0].lower()
        same(digest, hashlib.sha256(self.record).hexdigest(), "digest")
        same(self.it.ctl("audit", self.sale.title).returncode, 1, "exit of the audit: there is a dead letter")


@case("an unreadable record becomes a dead letter; the orders around it are drained")
def poison(it):
    users = it.users(4)
    with Paused(it):
        sales = {what: Poisoned(it, users, record) for what, record in POISON.items()}
    every(list(POISON), lambda what: sales[what].prove())


@case("unreadable records at the head, at the end, twice, in every segment")
def much_poison(it):
    sale, users = it.sale(amount=40, segments=4), it.users(30)
    with Paused(it):
        for i in range(4):
            it.redis("RPUSH", sale.key("q", i), f"head {i}", "same")
        orders = {sale.win(user): user.id for user in users}
        for i in range(4):
            it.redis("RPUSH", sale.key("q", i), "same", f"end {i}")
    empty(sale)
    same(sale.rows(), orders, "orders in MySQL")
    letters = {b"same"} | {f"{where} {i}".encode() for where in ("head", "end") for i in range(4)}
    same(set(dead_letters(it, sale)), letters, "dead letters")
    same(sold(it, sale), 30, "sold")


@case("records that were committed come again, as after a kill before the trim: nothing changes")
def redelivered(it):
    sale, users = it.sale(amount=30, segments=2), it.users(20)
    with Paused(it):
        for user in users[:12]:
            sale.win(user)
        before = [it.redis("LRANGE", sale.key("q", i), 0, -1) for i in (0, 1)]
    sale.drained()
    rows, units = it.sql(f"SELECT * FROM orders WHERE coupon_id = {sale.id} ORDER BY segment, seq"), sold(it, sale)
    with Paused(it):
        fresh = {sale.win(user): user.id for user in users[12:]}
        for i in (0, 1):
            if before[i]:
                it.redis("LPUSH", sale.key("q", i), *reversed(before[i]))
    empty(sale)
    after = it.sql(f"SELECT * FROM orders WHERE coupon_id = {sale.id} ORDER BY segment, seq")
    same([row for row in rows if row not in after], [], "rows that changed")
    same(len(after), 20, "rows")
    same(sale.rows().items() & fresh.items(), fresh.items(), "the new orders")
    same((units, sold(it, sale), dead_letters(it, sale)), (12, 20, {}), "sold before, sold after, dead letters")
    sale.audit()


@case("the cursor decides: repeating all batches changes nothing")
def repeated_batch(it):
    sale, user = it.sale(amount=5, segments=1), it.customer()
    sale.win(user)
    sale.drained()
    for _ in range(5):
        it.redis("RPUSH", sale.key("q", 0), f"1|{user.id}|1")
        empty(sale)
    same((len(sale.rows()), sold(it, sale), dead_letters(it, sale)), (1, 1, {}), "rows, sold, dead letters")


@case("a customer already has a live order in MySQL: the second becomes a dead letter, the rest is drained")
def conflict(it):
    sale, users = it.sale(amount=20, segments=3), it.users(12)
    it.sql("INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
           f"VALUES ({sale.id}, 200, 1, {users[5].id}, 1, 1, 1)")
    with Paused(it):
        orders = {sale.win(user): user.id for user in users}
    empty(sale)
    lost = next(order for order, user in orders.items() if user == users[5].id)
    rows = sale.rows()
    same(rows, {o: u for o, u in orders.items() if o != lost} | {f"{sale.id}-200-1": users[5].id}, "orders in MySQL")
    letters = dead_letters(it, sale)
    number = f"{lost.split('-')[2]}|{users[5].id}|".encode()
    assert [record for record in letters if record.startswith(number)] == list(letters) != [], letters
    assert "live_unit" in next(iter(letters.values())), letters
    same(sold(it, sale), 11, "sold")
    same(it.ctl("audit", sale.title).returncode, 1, "exit of the audit")


@case("MySQL accepts no more orders than units")
def fence(it):
    sale, users = it.sale(amount=10, segments=2), it.users(8)
    with Paused(it):
        orders = {sale.win(user): user.id for user in users}
        it.sql(f"UPDATE coupons SET sold = 7 WHERE id = {sale.id}")
    empty(sale)
    same(sold(it, sale), 10, "sold")
    rows = sale.rows()
    same((len(rows), rows.items() - orders.items()), (3, set()), "orders in MySQL")
    same(len(dead_letters(it, sale)), 5, "dead letters")


def fails_with(it, code):
    """From now on: drainers have met this error of MySQL."""
    log = it.run / "log/drain.log"
    start = log.stat().st_size
    return lambda: f"{code}:" in log.read_text()[start:]


def cursors_are_locked(it, sale):
    try:
        it.sql(f"SELECT next_number FROM drain_cursors WHERE coupon_id = {sale.id} FOR UPDATE NOWAIT")
    except SqlError:
        return True
    return False


@case("MySQL ends a batch because of a deadlock, and it is repeated")
def deadlock(it):
    sale, users, met = it.sale(amount=10, segments=2), it.users(8), fails_with(it, 1213)
    orders = {sale.win(user): user.id for user in users[:4]}
    sale.drained()
    it.sql("CREATE TABLE scratch (n INT PRIMARY KEY)")
    with Session(it.sql) as other:
        other("BEGIN")
        other("INSERT INTO scratch SELECT seq FROM seq_1_to_5000")  # who has written less is thrown out
        other(f"SELECT sold FROM coupons WHERE id = {sale.id} FOR UPDATE")
        orders |= {sale.win(user): user.id for user in users[4:]}
        until(lambda: cursors_are_locked(it, sale), 10, "a drainer is at the new orders")
        other(f"SELECT next_number FROM drain_cursors WHERE coupon_id = {sale.id} FOR UPDATE")
        until(met, 10, "the deadlock")
        other("ROLLBACK")
    sale.drained()
    same((sale.rows(), dead_letters(it, sale)), (orders, {}), "orders and dead letters in MySQL")
    it.sql("DROP TABLE scratch")
    sale.audit()


@case("another connection holds a lock for long: the batch ends, and is repeated")
def lock_wait(it):
    sale, users, met = it.sale(amount=10, segments=2), it.users(8), fails_with(it, 1205)
    orders = {sale.win(user): user.id for user in users[:4]}
    sale.drained()
    with Session(it.sql) as other:
        other("BEGIN")
        other(f"SELECT sold FROM coupons WHERE id = {sale.id} FOR UPDATE")
        orders |= {sale.win(user): user.id for user in users[4:]}
        until(met, 20, "a drainer gives up")
        other("ROLLBACK")
    sale.drained()
    same((sale.rows(), dead_letters(it, sale)), (orders, {}), "orders and dead letters in MySQL")
    sale.audit()


@case("MySQL itself refuses a sold above the amount, and two live orders of one customer")
def constraints(it):
    sale, user = it.sale(amount=3, segments=1), it.customer()
    sale.win(user)
    sale.drained()
    for statement in (f"UPDATE coupons SET sold = 4 WHERE id = {sale.id}",
                      "INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
                      f"VALUES ({sale.id}, 0, 99, {user.id}, 2, 1, 1)"):
        try:
            it.sql(statement)
        except SqlError:
            continue
        raise AssertionError(f"MySQL took: {statement}")


@case("a number above the expected one stops its segment, loses nothing, and is a finding")
def gap(it):
    sale, users = it.sale(amount=60, segments=2), it.users(40)
    with Paused(it):
        for user in users[:20]:
            sale.win(user)
        it.redis("RPUSH", sale.key("q", 0), f"999|{users[39].id}|1700000000000")
        for user in users[20:38]:
            sale.win(user)
    until(lambda: it.redis("LLEN", sale.key("q", 1)) == 0, 10, "the other segment's orders are in MySQL")
    until(lambda: it.redis("LINDEX", sale.key("q", 0), 0).startswith("999|"), 10, "those before the gap are in MySQL")
    held = it.redis("LRANGE", sale.key("q", 0), 1, -1)
    same(len(sale.rows()) + len(held), 38, "orders in MySQL and on the list")
    same(it.redis("LREM", sale.key("q", 0), 1, f"999|{users[39].id}|1700000000000"), 1, "what the operator takes away")
    sale.drained()
    same(len(sale.rows()), 38, "orders")
    sale.audit()


@case("a number that another customer has in MySQL becomes a dead letter")
def reused(it):
    sale, users = it.sale(amount=60, segments=1), it.users(5)
    for user in users[:2]:
        sale.win(user)
    sale.drained()
    record = f"2|{users[4].id}|1700000000000"
    with Paused(it):
        it.redis("RPUSH", sale.key("q", 0), record)
        sale.win(users[2])

    def kept():
        return record in it.redis("LRANGE", sale.key("q", 0), 0, -1) or record.encode() in dead_letters(it, sale)
    log = it.run / "log/drain.log"
    until(lambda: "drain_sequence_reused" in log.read_text() or dead_letters(it, sale), 10, "it is noticed")
    for _ in range(3):  # passes of other coupons
        other = it.sale(amount=1)
        other.win(users[0])
        other.drained()
        assert kept(), f"{record} is neither on the list nor a dead letter"
    same(sale.rows()[f"{sale.id}-0-2"], users[1].id, "whose order 2 is")
    same(it.ask("GET", users[4].path + "/orders", users[4]).expect(200).json["data"], [], "orders in the list of one who has none")


@case("a lease whose holder is gone does not stop the drain")
def lost_lease(it):
    sale, user = it.sale(amount=3, segments=1), it.customer()
    it.redis("SET", sale.key("l"), "nobody", "PX", 1500)
    order = sale.win(user)
    sale.drained()
    same(sale.rows(), {order: user.id}, "orders")


@case("units that MySQL counts and the hub was never told of are put on sale: their worker was killed in between")
def supply_cut_short(it):
    sale, users = it.sale(amount=1, segments=1), it.users(3)
    sale.win(users[0])
    sale.claim(users[1]).expect(410, "sold-out")
    it.sql(f"UPDATE coupons SET amount = 2 WHERE id = {sale.id}")
    until(lambda: sale.claim(users[1]).status == 201, 10, "the unit is on sale")
    sale.amount = 2
    sale.claim(users[2]).expect(410, "sold-out")
    sale.drained()
    sale.audit()


@case("a cursor behind its rows, as after a partial restore, is a finding")
def cursor_behind(it):
    sale, users = it.sale(amount=3, segments=1), it.users(3)
    for user in users:
        sale.win(user)
    sale.drained()
    sale.audit()
    it.sql(f"UPDATE drain_cursors SET next_number = 2 WHERE coupon_id = {sale.id}")
    done = it.ctl("audit", f"{sale.seller.name}/{sale.name}")
    same(done.returncode, 1, "exit of the audit")
    assert "the cursor of segment 0 is 2, but order 3 is in MySQL" in done.stdout, done.stdout
    it.sql(f"UPDATE drain_cursors SET next_number = 4 WHERE coupon_id = {sale.id}")
    sale.audit()


LOST = "given out, and lost by Redis: whose it was is not known"


def letters(it, sale):
    """Dead letters by number: [record, reason, state]."""
    rows = it.sql(f"SELECT seq, record, reason, state FROM dead_letters WHERE coupon_id = {sale.id}")
    return {int(seq): [record, reason, int(state)] for seq, record, reason, state in rows}


def cursor(it, sale):
    return list(map(int, it.sql(f"SELECT base, next_number FROM drain_cursors WHERE coupon_id = {sale.id}")[0]))


def ranges(it, sale):
    rows = it.sql(f"SELECT base, count FROM number_ranges WHERE coupon_id = {sale.id} ORDER BY base")
    return {int(base): int(count) for base, count in rows}


@case("orders that were on a list before its segment got a new base are drained once; the cursor follows the new numbers")
def earlier_incarnation(it):
    sale, users = it.sale(amount=20, segments=1), it.users(12)
    orders = {sale.win(user): user.id for user in users[:1]}
    sale.drained()

    def find(number, user):
        """An order that this host's workers have told nobody."""
        it.redis("RPUSH", sale.key("q", 0), f"{number}|{user.id}|1700000000000")
        it.redis("HSET", sale.key("o", 0), user.id, number)
        for field, change in (("last", 1), ("sold", 1), ("left", -1)):
            it.redis("HINCRBY", sale.key("s", 0), field, change)
        orders[f"{sale.id}-0-{number}"] = user.id
    with Paused(it):
        orders |= {sale.win(user): user.id for user in users[1:4]}
        find(5, users[4])
        first = sale.begin_anew()
        for n in (1, 2, 3):
            find(first + n, users[4 + n])
        base = sale.begin_anew()
        it.sql(f"DELETE FROM number_ranges WHERE coupon_id = {sale.id} AND base > 0; "  # nobody knew of the rest
               f"UPDATE number_ranges SET count = 1 WHERE coupon_id = {sale.id}")
        orders |= {sale.win(user): user.id for user in users[8:]}
        records = it.redis("LRANGE", sale.key("q", 0), 0, -1)
    sale.drained()
    numbers = [f"{sale.id}-0-{n}" for n in [*range(1, 6), *range(first + 1, first + 4), *range(base + 1, base + 5)]]
    same((list(orders), sale.rows()), (numbers, orders), "numbers, orders in MySQL")
    for again in range(2):
        same((cursor(it, sale), ranges(it, sale)), ([base, base + 5], {0: 5, first: 3}), "cursor, ranges")
        same((sold(it, sale), letters(it, sale)), (12, {}), "sold, dead letters")
        it.redis("RPUSH", sale.key("q", 0), *records)
        empty(sale)
    same(sale.rows(), orders, "orders in MySQL after all came again")
    sale.audit()


def claim_for_sure(sale, user):
    """The number of an order, once the sale is open."""
    return until(lambda: (answer := sale.claim(user)).status in (200, 201) and answer.won(), 10, "the sale is open")


@case("MySQL has handed out a later base than a list has: it waits, is inspected, and drained then")
def replaced(it):
    sale, users = it.sale(amount=20, segments=2), it.users(12)
    orders = {sale.win(user): user.id for user in users[:4]}
    sale.drained()
    with Paused(it):
        orders |= {sale.win(user): user.id for user in users[4:8]}
        for i in (0, 1):
            it.sql("INSERT INTO drain_cursors (coupon_id, segment, base, next_number) VALUES "
                   f"({sale.id}, {i}, {5 * RANGE}, {5 * RANGE + 1}) ON DUPLICATE KEY UPDATE base = {5 * RANGE}, "
                   f"next_number = {5 * RANGE + 1}")
    empty(sale)
    orders |= {claim_for_sure(sale, user): user.id for user in users[8:]}
    sale.drained()
    same(sale.rows(), orders, "orders in MySQL")
    same((sold(it, sale), dead_letters(it, sale)), (12, {}), "sold, dead letters")
    bases = [int(row[0]) for row in it.sql(f"SELECT base FROM drain_cursors WHERE coupon_id = {sale.id}")]
    assert all(base > 5 * RANGE for base in bases), bases
    sale.audit()


@case("numbers that are named as lost become dead letters, once; an order that comes back is inserted")
def named_lost(it):
    sale, users = it.sale(amount=20, segments=1), it.users(9)
    with Paused(it):
        orders = {sale.win(user): user.id for user in users[:3]}
        sale.name_lost(4, 5, 6, 7)
        sale.begin_anew()
        orders |= {sale.win(user): user.id for user in users[3:5]}
    empty(sale)
    lost = {n: [f"{n}|?|1700000000000", LOST, 0] for n in (4, 5, 6, 7)}
    same((letters(it, sale), sale.rows(), sold(it, sale)), (lost, orders, 5), "dead letters, orders, sold")
    it.redis("RPUSH", sale.key("q", 0), "4|?|1800000000000")  # another inspection has found the same
    empty(sale)
    same(letters(it, sale), lost, "dead letters, named again")

    ids = dict(it.sql(f"SELECT seq, id FROM dead_letters WHERE coupon_id = {sale.id}"))
    same(it.ctl("dead", "drop", ids["6"], "--reason", "paid back").returncode, 0, "exit of drop")
    it.sql(f"UPDATE dead_letters SET state = 3 WHERE id = {ids['7']}")  # recover --resell-unknown
    back = [f"{n}|{user.id}|1700000000000" for n, user in zip((4, 5, 6, 7), (users[5], users[0], users[7], users[8]))]
    it.redis("RPUSH", sale.key("q", 0), *back)
    empty(sale)
    orders[f"{sale.id}-0-4"] = users[5].id  # users[0] has bought again, 6 was dropped, 7 was sold again
    same((sale.rows(), sold(it, sale)), (orders, 6), "orders, sold")
    same({n: letter[2] for n, letter in letters(it, sale).items()}, {4: 1, 5: 0, 6: 2, 7: 3}, "states")
    it.redis("RPUSH", sale.key("q", 0), *back)
    empty(sale)
    same((sale.rows(), sold(it, sale), len(letters(it, sale))), (orders, 6, 4), "orders, sold, dead letters")


def commands(it):
    """How many commands Redis has run."""
    return int(re.search(r"total_commands_processed:(\d+)", it.redis("INFO", "stats")).group(1))


def stops_in_transaction(it):
    """
    A drainer holds the cursors of a sale and is stopped there: it works on an order, waits for the sale's row, which we
    lock, and sleeps before we let the row go. Another one must go on; the first one must write nothing when it wakes up.
    """
    sale, users = it.sale(amount=10, segments=1), it.users(3)
    sale.win(users[0])
    sale.drained()  # the cursor has its row
    one, other = it.full("drain")
    kill([one, other], signal.SIGSTOP)
    orders = [sale.win(user) for user in users[1:]]

    def cursor_is_locked():
        try:
            it.sql(f"SELECT 1 FROM drain_cursors WHERE coupon_id = {sale.id} FOR UPDATE NOWAIT")
        except SqlError:
            return True
    try:
        with Session(it.sql) as session:
            session("START TRANSACTION")
            session(f"SELECT id FROM coupons WHERE id = {sale.id} FOR UPDATE")
            kill([one], signal.SIGCONT)
            until(cursor_is_locked, 10, "a drainer is in its transaction")
            kill([one], signal.SIGSTOP)
            session("COMMIT")
        stopped = time.monotonic()
        kill([other], signal.SIGCONT)
        until(lambda: len(sale.rows()) == 3, 10, "the other drainer goes on")
        took = time.monotonic() - stopped
        until(lambda: sale.queued() == 0, 10, "the list is trimmed")
    finally:
        kill([one, other], signal.SIGCONT)
    comment(f"it went on {took:.2f} s after the first one was stopped")
    sale.win(it.customer())
    it.full("drain")
    sale.drained()
    same((len(sale.rows()), sold(it, sale)), (4, 4), "orders, units sold in MySQL")
    assert set(orders) < set(sale.rows()), "orders"
    same(it.sql(f"SELECT * FROM dead_letters WHERE coupon_id = {sale.id}"), [], "dead letters")
    sale.audit()
    quick(took, 3, "the other drainer went on")


@case("a drainer that is stopped in its transaction holds up another one for less than 3 s, and writes nothing afterwards")
def stopped(it):
    stops_in_transaction(it)


@case("the same where MySQL has only one timeout for every wait, as MySQL 8 has; connections that idle outlive it")
def stopped_in_mysql(it):
    command = pathlib.Path(f"/proc/{it.leader('mysql')}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    it.dev("stop", "mysql")
    server = subprocess.Popen(command + [b"--version=8.0.36"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: it.ask("GET", "/readyz").status == 200, 20, "ready")
        same(it.sql("SELECT VERSION()"), [["8.0.36"]], "what the programs are told; the setting is there in both")
        stops_in_transaction(it)
        status = dict(it.sql("SHOW GLOBAL STATUS LIKE 'Aborted_clients'"))
        same(status, {"Aborted_clients": "1"}, "connections that the server has closed: of those that idled none")
    finally:
        server.terminate()
        server.wait(20)
        it.dev("start", "mysql")


@case("a drainer with batches of one rests when there is nothing to do, and stops when it is asked to")
def batch_of_one(it):
    words = [BUILD / "seckill-orderd", "-c", it.run / "drain.conf", "-s", "drain_batch=1"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=it.environment) as drainer:
        assert "started" in drainer.stderr.readline()
        before = commands(it)
        pause(1, "the time over which it is watched")
        asked = commands(it) - before
        drainer.send_signal(signal.SIGTERM)
        same(drainer.wait(timeout=3), 0, "exit")
    assert asked < 3000, f"{asked} commands to Redis in an idle second"


if __name__ == "__main__":
    main()
