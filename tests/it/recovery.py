#!/usr/bin/env -S python3 -B
"""Redis comes back with older data: the sale goes on with exact numbers. With none: it is closed until `seckillctl recover`."""

import json
import os
import random
import shutil
import signal
import subprocess
import threading

from ended import cancel, owner, settled
from harness import BUILD, SOURCE, claims_of, main
from history import Load
from ledger import Ledger
from tap import case, comment, pause, same, until

SEED = int(os.environ.get("IT_SEED") or random.randrange(10**6))
dice = random.Random(SEED)


def restart(it, change=lambda: None):
    """Kills Redis, changes its data and starts it again."""
    it.dev("stop", "redis", "-9")
    it.redis.close()
    change()
    it.dev("start", "redis")


def data(it):
    return it.run / "data/redis"


def copy_data(it):
    """Copies Redis's files as they are now."""
    to = it.run / "old"
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(data(it), to)
    return to


def put_back(it):
    shutil.rmtree(data(it))
    shutil.copytree(it.run / "old", data(it))


def without_drainers(it, action):
    it.dev("stop", "drain")
    try:
        action()
    finally:
        it.dev("start", "drain")


@case("Redis restarts with all its data: the sale goes on by itself, and no customer is refused")
def whole(it):
    books = Ledger(it)
    books.sell(20)
    restart(it)
    until(lambda: it.ask("GET", "/readyz").status == 200, 5, "ready")
    books.sell(5)
    books.keeps()
    books.sells_the_rest()
    books.sale.audit()


@case("Redis is empty: the sale is closed and recovered from MySQL, and every order keeps its number")
def empty(it):
    books = Ledger(it)
    books.sell(25)
    books.sale.drained()
    restart(it, lambda: lose_everything(it))
    books.closed()
    found = books.recover()
    same((found["orders"], found["unknown"], found["available"]), (25, 0, 35), "orders, unknown, available")
    assert books.sale.title not in it.ask("GET", "/readyz").json["closed"], "still named as closed"
    books.keeps()
    books.sells_the_rest()
    books.sale.audit()


@case("an old copy of Redis's data: orders that MySQL has are written back, and the sale goes on by itself")
def old_copy(it):
    books = Ledger(it)
    books.sell(15)
    books.sale.drained()
    copy_data(it)
    books.sell(20)
    books.sale.drained()
    restart(it, lambda: put_back(it))
    books.keeps()
    books.sells_the_rest()
    books.sale.audit()


def sells_out(books):
    """Every unit that is left can be sold, and not one more; orders that are over hold none."""
    barred = {user for user in books.users if (owner(books.it, books.sale, user) or "").startswith("-")}
    answers = [books.insist(user) for user in books.users if user.id not in books.told and user not in barred]
    same({a.code for a in answers if a.status != 201} - {"sold-out"}, set(), "other answers")
    same(len(books.told) + sum(a.status == 201 for a in answers), books.sale.amount, "live orders")
    books.sale.drained()


@case("an old copy of Redis's data, from before orders were over: their customers may claim again, and who did keeps the new order")
def old_copy_of_ended(it):
    books = Ledger(it, amount=40, segments=2)
    users = books.users[:12]
    books.sell(12)
    books.sale.drained()
    copy_data(it)
    ended = {user: books.told.pop(user.id) for user in users[:6]}
    for number in ended.values():
        cancel(it, number)
    settled(it, books.sale)
    for user in users[:3]:
        books.told[user.id] = books.insist(user).won()
    books.sale.drained()
    restart(it, lambda: put_back(it))
    books.keeps()
    settled(it, books.sale)
    same([owner(it, books.sale, user) for user in users[3:6]], [None] * 3, "owners of orders that are over")
    for user in users[3:6]:
        number = books.insist(user).won()
        assert number != ended[user], number
        books.told[user.id] = number
    sells_out(books)
    books.sale.audit()


@case("Redis restarts with all its data after orders were over: none of them is released once more")
def whole_after_ended(it):
    books = Ledger(it, amount=20, segments=2)
    books.sell(10)
    books.sale.drained()
    for user in books.users[:6]:
        cancel(it, books.told.pop(user.id))
    settled(it, books.sale)
    it.sql("CREATE TABLE entered (seq BIGINT); CREATE TRIGGER enters AFTER INSERT ON returned_orders FOR EACH ROW "
           "INSERT INTO entered VALUES (NEW.seq)")
    try:
        before = [it.redis("HGET", books.sale.key("s", i), "base") for i in range(2)]
        restart(it)
        until(lambda: all(it.redis("HGET", books.sale.key("s", i), "base") != before[i] for i in range(2)), 10, "an inspection")
        books.keeps()
        same(it.sql.number("SELECT COUNT(*) FROM entered"), 0, "orders that are to be released")
    finally:
        it.sql("DROP TRIGGER enters; DROP TABLE entered")
    sells_out(books)
    books.sale.audit()


@case("Redis is empty after orders were over: recovered with the same units, and who cannot claim again still cannot")
def empty_after_ended(it):
    books = Ledger(it, amount=40, segments=2)
    users, sale = books.users[:8], books.sale
    books.sell(8)
    sale.drained()
    for user in users[:4]:
        for _ in range(3 if user is users[0] else 1):
            cancel(it, books.told.pop(user.id, None) or books.insist(user).won())
            settled(it, sale)
            if user is users[0] and "-" not in (owner(it, sale, user) or ""):
                books.told[user.id] = books.insist(user).won()
                sale.drained()
    assert owner(it, sale, users[0]).startswith("-"), "the customer may claim again"
    for change in (lambda: None, lambda: lose_everything(it)):
        restart(it, change)
        if it.redis("EXISTS", sale.key("hub")) == 0:
            books.closed()
            found = books.recover()
            same((found["orders"], found["unknown"], found["available"]), (10, 0, 36), "orders, unknown, available")
        assert owner(it, sale, users[0]).startswith("-"), "the customer may claim again"
        books.keeps()
        same([int(it.redis("HGET", sale.key("s", i), "unowned")) for i in range(2)],
             [int(it.redis("HGET", sale.key("s", i), "sold")) - it.redis("HLEN", sale.key("o", i)) for i in range(2)], "units without an owner")
        sale.audit()
    same(it.redis("HMGET", sale.key("hub"), "cancelled", "final", "pays"), ["6", "0", "0"], "totals of the hub")
    books.told[users[1].id] = books.insist(users[1]).won()
    sells_out(books)
    sale.audit()


def totals(it, sale):
    fields = ("cancelled", "final", "final_cancelled")
    hub = [int(n) for n in it.redis("HMGET", sale.key("hub"), *fields)]
    same(hub, [int(n) for n in it.sql(f"SELECT {', '.join(fields)} FROM coupons WHERE id = {sale.id}")[0]], "totals of the hub")
    return hub


@case("Redis is empty, and orders were paid, cancelled and lost: the hub knows what is final, and payments stay as they are")
def empty_after_paid(it):
    books = Ledger(it, amount=20, segments=1, pay_within=3600, price=500, currency="EUR")
    sale = books.sale
    books.sell(6)
    sale.drained()
    numbers = list(books.told.values())
    for number in numbers[:3]:
        same(it.ctl("orders", "pay", number, "--id", number, "--amount", 500, "--currency", "EUR").returncode, 0, "exit of pay")
    same(it.ctl("orders", "cancel", numbers[0], "--reason", "x").returncode, 0, "exit of cancel")
    del books.told[books.users[0].id]
    settled(it, sale)
    same(totals(it, sale), [1, 3, 1], "cancelled, final, of these given back")

    without_drainers(it, lambda: (books.sell(2), restart(it, lambda: lose_everything(it))))
    books.closed()
    found = books.recover()
    same((found["orders"], found["unknown"], found["available"]), (6, 2, 13), "orders, unknown, available")
    same(totals(it, sale), [1, 5, 1], "the same after the recovery: lost numbers are final")
    books.recover("--resell-unknown")
    same(totals(it, sale), [1, 5, 3], "the same after their units were sold again")
    same(it.redis("HGET", sale.key("hub"), "pays"), "1", "pays")
    shown = json.loads(it.ctl("--json", "orders", "show", numbers[1]).stdout)
    same((shown["status"], [p["status"] for p in shown["payments"]]), ("paid", ["paid"]), "a paid order")
    same(it.sql.number(f"SELECT COUNT(*) FROM unpaid_orders WHERE coupon_id = {sale.id}"), 3, "orders that may expire")
    books.told = {user: number for user, number in books.told.items() if number in numbers}
    books.keeps()
    answers = [books.insist(user) for user in books.users[20:36]]
    same([a.code for a in answers].count("all-held"), 1, "the unit above the last one")
    sale.drained()
    sale.audit()


def lose_everything(it):
    shutil.rmtree(data(it))
    data(it).mkdir()


def forgetful(it, change=lose_everything, kept=15, lost=10, homes=None, segments=2):
    """A sale with 15 orders in MySQL and 10 that only the lost Redis had, and the customers of these. Each of the two
    segments has units for all of them."""
    books = Ledger(it, segments=segments)
    books.sell(kept, homes)
    books.sale.drained()
    copy_data(it)
    before = set(books.told)

    def lose():
        books.sell(lost, homes)
        restart(it, lambda: change(it))
    without_drainers(it, lose)
    return books, set(books.told) - before


def names(books, lost):
    """The numbers of these customers are named as lost, and no other."""
    numbers = {f"{books.sale.id}-{segment}-{seq}" for segment, seq, _ in books.dead()}
    same(numbers, {books.told[u] for u in lost}, "numbers named as lost")


@case("an old copy, and orders that only the lost Redis had: they are named as lost, their units stay held, and the sale goes on by itself")
def old_copy_unknown(it):
    books, lost = forgetful(it, put_back)
    until(lambda: len(books.dead()) == 10, 10, "dead letters")
    names(books, lost)
    books.keeps(lost)
    found = books.recover()
    same((found["orders"], found["unknown"], found["available"]), (15, 0, 35), "orders, unknown, available")
    names(books, lost)
    books.sells_the_rest(held=10, lost=lost)


@case("an old copy, with fewer units in the segment than lost orders: all are named as lost, and the units that are there are held")
def more_than_units(it):
    books, lost = forgetful(it, put_back, kept=10, lost=6, homes={0}, segments=4)  # it had 13 units then
    until(lambda: len(books.dead()) == 6, 10, "dead letters")
    names(books, lost)
    found = books.recover()
    same((found["orders"], found["unknown"], found["available"]), (10, 0, 47), "orders, unknown, available")
    names(books, lost)
    books.keeps(lost)
    books.sells_the_rest(held=3, lost=lost)


@case("Redis is empty: orders that only it had are named as lost, and their units stay held")
def unknown(it):
    books, lost = forgetful(it)
    books.closed()
    found = books.recover()
    same((found["orders"], found["unknown"], found["available"]), (15, 10, 35), "orders, unknown, available")
    names(books, lost)
    books.keeps(lost)
    books.sells_the_rest(held=10, lost=lost)


@case("numbers were named as lost on a list that is lost, too: the next recovery names them again")
def named_and_lost(it):
    told = []

    def change(it):
        told.append((it.run / "marks").read_bytes())
        put_back(it)
    books, lost = forgetful(it, change)
    until(lambda: len(books.dead()) == 10, 10, "dead letters")

    def lose():
        with open(it.run / "marks", "r+b") as marks:  # a place is given back once the dead letter is there
            marks.write(told[0])
        restart(it, lambda: lose_everything(it))
        it.sql(f"DELETE FROM dead_letters WHERE coupon_id = {books.sale.id}")  # as if the list had not been drained
        it.sql(f"UPDATE drain_cursors SET next_number = base + 1 WHERE coupon_id = {books.sale.id}")
    without_drainers(it, lose)
    books.closed()
    found = books.recover()
    same((found["orders"], found["available"]), (15, 35), "orders, available")
    names(books, lost)
    books.sells_the_rest(held=10, lost=lost)


@case("orders were named as lost, and their Redis comes back: their customers have them again, with their numbers")
def found_again(it):
    books = Ledger(it)
    books.sell(15)
    books.sale.drained()

    def lose():
        books.sell(10)
        it.dev("stop", "redis", "-9")
        it.redis.close()
        copy_data(it)
        lose_everything(it)
        it.dev("start", "redis")
    without_drainers(it, lose)
    books.closed()
    same(books.recover()["unknown"], 10, "unknown")
    books.sell(5)
    books.sale.drained()
    restart(it, lambda: put_back(it))
    fresh = next(u for u in books.users if u.id not in books.told)
    until(lambda: books.sale.claim(fresh) and books.sale.title in it.ask("GET", "/readyz").expect(200).json["closed"], 5,
          "it is closed: its slots are of another generation")
    found = books.recover()
    same([found[name] for name in ("orders", "rescued", "renumbered", "unknown", "available")], [30, 10, 0, 0, 30],
         "orders, rescued, renumbered, unknown, available")
    states = it.sql(f"SELECT DISTINCT state FROM dead_letters WHERE coupon_id = {books.sale.id}")
    same(states, [["1"]], "states of the letters")
    books.keeps()
    books.sells_the_rest()
    books.sale.audit()


@case("logouts survive an old copy of Redis's data, an empty Redis, and the loss of their rows in MySQL")
def logouts(it):
    leavers, shop = [], it.seller().path + "/coupons"  # for the hot pool; orders are for the cold one

    def leave():
        user = it.account(it.name("leaver"), "customer")
        it.ask("POST", "/api/auth/logout", user).expect(200)
        leavers.append(user)

    def jtis():
        return sorted(claims_of(user.token)["jti"] for user in leavers)

    def answers():
        """Of the hot pool and of the cold one."""
        return {it.ask("GET", path, user).code for user in leavers for path in (shop, user.path + "/orders")}

    def completed():
        """In Redis, from which new workers read them, and in MySQL."""
        until(lambda: sorted(e[:16] for e in it.redis("ZRANGE", "sk:revoked", 0, -1)) == jtis(), 20, "entries in Redis")
        until(lambda: sorted(r[0] for r in it.sql("SELECT LOWER(HEX(token_id)) FROM revocations")) == jtis(), 20,
              "rows in MySQL")
        it.dev("stop", "hot", "cold")
        it.dev("start", "hot", "cold")
        same(answers(), {"revoked-token"}, "answers of new workers")
    leave()
    copy_data(it)
    leave()
    leave()
    until(lambda: all(it.ask("GET", shop, u).status == 401 for u in leavers for _ in range(8)), 3, "hot workers know")
    restart(it, lambda: put_back(it))
    for user in leavers:
        it.ask("GET", shop, user).expect(401, "revoked-token")  # hot workers have not forgotten
    until(lambda: answers() == {"revoked-token"}, 5, "cold workers, which may not have known, learn of it")
    completed()
    restart(it, lambda: lose_everything(it))
    completed()
    it.redis("DEL", "sk:revoked")  # in the same incarnation
    completed()
    it.sql("DELETE FROM revocations")  # a dump from before
    completed()


@case("--resell-unknown: the units of lost orders are sold again")
def resell(it):
    books, lost = forgetful(it)
    books.closed()
    found = books.recover()
    same((found["unknown"], found["available"]), (10, 35), "unknown, available")
    found = books.recover("--resell-unknown")
    same((found["unknown"], found["available"]), (0, 45), "unknown, available")
    books.keeps(lost)
    books.sells_the_rest(lost=lost)
    books.sale.audit()


@case("a recovery finds units of a sold-out sale: after it neither workers nor nginx refuse a customer on an old notice")
def sold_out_before(it):
    books, _ = forgetful(it)
    books.recover()
    books.sells_the_rest(held=10, lost=set(books.told))
    losers = it.users(40)
    for user in losers:  # so many that workers keep a sold-out notice and write nginx markers
        until(lambda: books.sale.claim(user).status == 410, 5, "sold out")
    path, title = books.sale.path, books.sale.title
    done = threading.Event()

    def press(client, user):
        while not done.wait(0.005):
            client.ask("PATCH", path, user)
    crowd = Load(it.port, 4, losers[:4], press)
    pause(1, "the notice is renewed for as long as they ask")
    same(it.ask("PATCH", path, losers[4]).status, 204, "sold out, by nginx")
    done.set()
    crowd.join()
    same(it.ctl("recover", "--resell-unknown", title).returncode, 0, "exit")
    answers = [it.ask("PATCH", path, user).status for user in losers[4:14]]
    same(answers, [201] * 10, "what is told to who asks now")


@case("the end of the AOF is cut off: acknowledged orders that were on it are named as lost")
def cut(it):
    books = Ledger(it)
    books.sell(10)
    books.sale.drained()

    def lose():
        books.sell(6)
        restart(it, lambda: truncate(it))
    without_drainers(it, lose)
    until(lambda: len(books.sale.rows()) + len(books.dead()) == 16, 10, "16 orders and lost ones")
    lost = len(books.dead())
    assert lost > 0, "nothing was lost"
    found = books.recover()
    same((found["orders"], found["unknown"], found["available"]), (16 - lost, 0, 44), "orders, unknown, units on sale")


def truncate(it):
    """As after a power cut on a disk that lied: the last quarter of what came since the last rewrite is gone."""
    last = max(data(it).rglob("*.incr.aof"), key=lambda path: path.stat().st_size)
    size = last.stat().st_size
    os.truncate(last, size - 900)


@case("a segment is rolled back while Redis runs: the first order number that does not rise closes it")
def falling(it):
    books = Ledger(it, segments=1)
    books.sell(20)
    books.sale.drained()
    lost = [u for u in books.users if u.id in books.told][-5:]
    it.redis("HINCRBY", books.sale.key("s", 0), "last", -5)
    it.redis("HINCRBY", books.sale.key("s", 0), "sold", -5)
    it.redis("HINCRBY", books.sale.key("s", 0), "left", 5)
    it.redis("HDEL", books.sale.key("o", 0), *[u.id for u in lost])
    fresh = next(u for u in books.users if u.id not in books.told)
    books.sale.claim(fresh).expect(503, "fenced")
    books.closed()
    found = books.recover()
    same((found["orders"], found["renumbered"]), (21, 1), "orders, renumbered")
    books.told[fresh.id] = books.sale.claim(fresh).expect(200).json["order"]
    same(len(set(books.told.values())), 21, "different numbers")
    listed = it.ask("GET", fresh.path + "/orders", fresh).expect(200).json["data"]
    same([o["order"] for o in listed], [books.told[fresh.id]], "the customer's list: the number that was refused is not in it")
    books.keeps()
    books.sells_the_rest()
    books.sale.audit()


@case("the hub is rolled back while Redis runs: it is closed when a segment has received more than it granted")
def hub_falls(it):
    books = Ledger(it, amount=40, segments=4)
    hub = books.sale.key("hub")
    before = it.redis("HGETALL", hub)
    books.sell(38)
    it.redis("HSET", hub, *before)
    fresh = [u for u in books.users if u.id not in books.told]

    def regress():
        for user in fresh:
            answer = books.sale.claim(user)
            if answer.status == 201:
                books.told[user.id] = answer.json["order"]
            elif answer.code == "fenced":
                return True
        return False
    assert regress(), "nobody noticed"
    until(lambda: len(books.sale.rows()) + len(books.dead()) >= len(books.told), 10, "all orders are in MySQL")
    books.recover()
    rows = books.sale.rows()
    assert len(rows) <= 40, f"{len(rows)} of 40 sold"
    minted = {u for u, order in books.told.items() if order not in rows}  # before the hub was closed
    assert len(minted) <= len(books.dead()), f"{len(minted)} orders are nowhere"
    books.keeps(minted)
    if not minted:
        books.sells_the_rest()
        books.sale.audit()


@case("a recovery is killed again and again, and the last one ends as an undisturbed one would")
def killed(it):
    books = Ledger(it, amount=400, segments=8, customers=300)
    books.sell(120)
    books.sale.drained()
    without_drainers(it, lambda: (books.sell(60), restart(it, lambda: lose_everything(it))))
    books.closed()
    comment(f"IT_SEED={SEED}")
    for _ in range(25):
        process = subprocess.Popen([BUILD / "seckillctl", "-c", it.run / "drain.conf", "recover", books.sale.title],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=it.environment)
        pause(dice.uniform(0.002, 0.06), "the moment of the fault")
        process.send_signal(signal.SIGKILL)
        process.wait()
    found = books.recover()
    same((found["orders"], found["available"]), (120, 220), "orders, available")
    same(len(books.dead()), 60, "numbers named as lost")
    same(found["renumbered"], 0, "renumbered")


@case("MySQL is restored from an older backup: orders that Redis still has come back, with their numbers")
def older_mysql(it):
    books = Ledger(it)
    books.sell(15)
    books.sale.drained()
    for table in ("orders", "drain_cursors", "coupons"):
        it.sql(f"CREATE TABLE old_{table} AS SELECT * FROM {table}")
    books.sell(20)
    books.sale.drained()

    def restore():
        it.sql(f"DELETE FROM orders WHERE coupon_id = {books.sale.id} AND (segment, seq) NOT IN "
               "(SELECT segment, seq FROM old_orders o WHERE o.coupon_id = orders.coupon_id)")
        it.sql("UPDATE drain_cursors d JOIN old_drain_cursors o USING (coupon_id, segment) SET d.next_number = o.next_number")
        it.sql(f"UPDATE coupons c JOIN old_coupons o USING (id) SET c.sold = o.sold WHERE c.id = {books.sale.id}")
    without_drainers(it, restore)
    for table in ("orders", "drain_cursors", "coupons"):
        it.sql(f"DROP TABLE old_{table}")
    same(it.ctl("audit", books.sale.title).returncode, 1, "exit of the audit")
    found = books.recover()
    same((found["orders"], found["rescued"], found["unknown"]), (35, 20, 0), "orders, rescued, unknown")
    books.keeps()
    books.sells_the_rest()
    books.sale.audit()


@case("MySQL is restored from before a base was handed out: the sale is recovered, and no number is given twice")
def older_than_a_base(it):
    books = Ledger(it)
    books.sell(10)
    books.sale.drained()
    tables = ("orders", "drain_cursors", "number_ranges", "coupons")
    for table in tables:
        it.sql(f"CREATE TABLE old_{table} AS SELECT * FROM {table} WHERE {'id' if table == 'coupons' else 'coupon_id'} = {books.sale.id}")
    for _ in range(2):  # two bases
        restart(it)
        books.sell(10)
    books.sale.drained()

    def restore():
        books.sell(5)
        it.sql(f"DELETE FROM orders WHERE coupon_id = {books.sale.id} AND seq > {1 << 20}; "
               f"DELETE FROM number_ranges WHERE coupon_id = {books.sale.id}; "
               "UPDATE drain_cursors d JOIN old_drain_cursors o USING (coupon_id, segment) SET d.base = o.base, d.next_number = o.next_number; "
               "UPDATE coupons c JOIN old_coupons o USING (id) SET c.sold = o.sold, c.hub_term = o.hub_term")
    without_drainers(it, restore)
    for table in tables:
        it.sql(f"DROP TABLE old_{table}")
    found = books.recover()
    same((found["orders"], found["renumbered"], found["unknown"]), (35, 0, 0), "orders, renumbered, unknown")
    books.keeps()
    books.sells_the_rest()
    ranges = it.sql(f"SELECT base, SUM(count) FROM number_ranges WHERE coupon_id = {books.sale.id} GROUP BY base ORDER BY base")
    counts = [int(count) for base, count in ranges]  # an inspection that lost a race leaves its base unused
    same((ranges[0][0], counts[0], sum(counts)), ("0", 10, 35), "the first range, and numbers of all")
    books.sale.audit()


@case("an inspection is killed after it has written back rows of a later base: each range of numbers stays as it was")
def mended_and_killed(it):
    books = Ledger(it, segments=2)
    sale = books.sale
    books.sell(10)
    sale.drained()
    first = [int(it.redis("HGET", sale.key("s", i), "last")) for i in range(2)]
    copy_data(it)
    restart(it)
    books.sell(10)
    sale.drained()

    def mend():
        restart(it, lambda: put_back(it))
        for i in range(2):
            rows = it.sql(f"SELECT user_id, seq FROM orders WHERE coupon_id = {sale.id} AND segment = {i} AND seq > {1 << 20} ORDER BY seq")
            it.redis("HSET", sale.key("o", i), *[word for row in rows for word in row])
            it.redis("HINCRBY", sale.key("s", i), "sold", len(rows))
            it.redis("HINCRBY", sale.key("s", i), "left", -len(rows))
            it.redis("HSET", sale.key("s", i), "last", rows[-1][1], "next", 1 << 21)
    without_drainers(it, mend)
    books.keeps()
    ranges = it.sql(f"SELECT segment, count FROM number_ranges WHERE coupon_id = {sale.id} AND base = 0 ORDER BY segment")
    same([[int(word) for word in row] for row in ranges], [[0, first[0]], [1, first[1]]], "ranges of the first base")
    books.sells_the_rest()
    sale.audit()


@case("a recovery keeps dead letters: an open one stays open, the unit of a dropped one is not sold, and neither holds two units")
def dead_letters(it):
    books = Ledger(it, amount=10, segments=1, customers=14)
    it.dev("stop", "drain")
    books.sell(3)
    poor, rich, other = list(books.told)[:3]
    it.sql(f"INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) VALUES "
           f"({books.sale.id}, 9, 77, {poor}, 1, 1, 1), ({books.sale.id}, 9, 78, {rich}, 1, 1, 1)")
    it.dev("start", "drain")
    until(lambda: len(books.dead()) == 2, 10, "two dead letters")
    ids = [row[0] for row in it.sql(f"SELECT id FROM dead_letters WHERE coupon_id = {books.sale.id} ORDER BY id")]
    same(it.ctl("dead", "drop", ids[1], "--reason", "fraud").returncode, 0, "exit of the drop")
    found = books.recover()  # the cause of the dead letters is still there
    same((found["rescued"], found["renumbered"]), (0, 0), "orders rescued, renumbered")
    it.sql(f"DELETE FROM orders WHERE coupon_id = {books.sale.id} AND segment = 9")
    found = books.recover()
    same((found["orders"], found["rescued"], found["available"]), (1, 0, 7), "orders, rescued, available")
    books.keeps()
    states = it.sql(f"SELECT state FROM dead_letters WHERE coupon_id = {books.sale.id} ORDER BY id")
    same([row[0] for row in states], ["0", "2"], "states of the letters")


@case("Redis has more owners than there are units: there are as many orders as units, the others become dead letters")
def oversold(it):
    books = Ledger(it, amount=6, segments=1, customers=10)
    books.sell(5)
    books.sale.drained()
    minted = [u for u in books.users if u.id not in books.told][:3]
    for sequence, user in enumerate(minted, 6):  # as a hub leaves it that has granted the same units twice
        it.redis("HSET", books.sale.key("o", 0), user.id, sequence)
        it.redis("HSET", books.sale.key("s", 0), "last", sequence, "sold", sequence)
    found = books.recover()
    same([found[name] for name in ("orders", "rescued", "refused", "unknown", "available")], [6, 1, 2, 0, 0],
         "orders, rescued, refused, unknown, available")
    letters = it.sql(f"SELECT seq, record, reason FROM dead_letters WHERE coupon_id = {books.sale.id} ORDER BY id")
    same([(seq, record.split("|")[:2], reason) for seq, record, reason in letters],
         [("NULL", [str(n), str(u.id)], "oversold by data loss") for n, u in ((7, minted[1]), (8, minted[2]))], "dead letters")
    same([books.insist(user).code for user in minted], [None, "sold-out", "sold-out"], "answers to the three")
    same(books.insist(minted[0]).json["order"], f"{books.sale.id}-0-6", "the order of the first")
    books.keeps()
    found = books.recover()
    same((found["orders"], found["rescued"], found["refused"]), (6, 0, 0), "the next recovery")
    problems = json.loads(it.ctl("--json", "audit", books.sale.title).stdout)[0]["problems"]
    same({p["kind"] for p in problems}, {"dead-letter"}, "findings")


@case("MySQL refuses an order that a recovery has found: it becomes a dead letter, holds its unit, and can be retried")
def refused_row(it):
    books = Ledger(it, amount=6, segments=1, customers=8)
    books.sell(3)
    books.sale.drained()
    user = next(u for u in books.users if u.id in books.told)
    number = int(books.told[user.id].split("-")[2])
    it.sql(f"UPDATE orders SET segment = 200 WHERE coupon_id = {books.sale.id} AND user_id = {user.id}")
    found = books.recover()
    same([found[name] for name in ("orders", "rescued", "refused", "unknown", "available")], [3, 0, 1, 0, 2],
         "orders, rescued, refused, unknown, available")
    id, sequence, reason = it.sql(f"SELECT id, seq, reason FROM dead_letters WHERE coupon_id = {books.sale.id}")[0]
    same((int(sequence), reason[:38]), (number, "MySQL refuses it: MySQL error 1062: Du"), "the dead letter")
    books.keeps()
    it.sql(f"DELETE FROM orders WHERE coupon_id = {books.sale.id} AND segment = 200; "
           f"UPDATE coupons SET sold = sold - 1 WHERE id = {books.sale.id}")
    same(it.ctl("dead", "retry", id).returncode, 0, "exit of the retry")
    same(books.recover()["available"], 3, "units")
    books.keeps()
    books.sells_the_rest()
    books.sale.audit()


@case("units were withdrawn, and only the hub has their total: they stay withdrawn")
def withdrawn(it):
    books = Ledger(it, amount=20, segments=2, customers=25)
    books.sell(4)
    books.sale.drained()
    it.redis("HSET", books.sale.key("hub"), "withdrawn", 2)
    it.redis("HINCRBY", books.sale.key("hub"), "avail", -2)
    same(books.recover()["available"], 14, "available")
    same(it.sql.number(f"SELECT withdrawn FROM coupons WHERE id = {books.sale.id}"), 2, "withdrawn in MySQL")
    books.keeps()
    books.sells_the_rest(held=2)
    books.sale.audit()


@case("a recovery stands still while another one runs: it writes nothing afterwards")
def overtaken(it):
    books = Ledger(it, amount=300, segments=8, customers=320)
    books.sell(100)
    books.sale.drained()
    layout, generation = it.redis("HGET", books.sale.key("hub"), "fence").split("@")[0].split(":")
    late = ["EVALSHA", it.redis("SCRIPT", "LOAD", (SOURCE / "lua/rewrite.lua").read_text().replace("#!lua flags=allow-oom", "#!lua")),
            2, books.sale.key("s", 0), books.sale.key("q", 0), f"{layout}:{generation}!", "DEL"]
    same(it.redis(*late)[0], "FENCED", "a late write to an open slot")
    books.recover()
    late[5] = f"{layout}:{int(generation) + 1}!"
    same(it.redis(*late)[0], "FENCED", "a late write of a recovery that is over")
    books.keeps()
    books.sells_the_rest()
    books.sale.audit()


@case("a slot holds a value that no program of this service writes: after a restart its sale is closed, and no other sale waits for it")
def strange(it):
    sales = [Ledger(it, amount=20, customers=30) for _ in range(6)]
    for books in sales:
        books.sell(3)
    broken = sales[2]
    for key in (broken.sale.key("s", 0), broken.sale.key("q", 1)):
        it.redis("SET", key, "strange")
    restart(it)
    for books in sales:
        if books is not broken:
            books.sell(3)
            books.keeps()
    broken.closed()


@case("recover of one coupon leaves the others alone; a name that does not exist; a coupon that needs no recovery")
def others(it):
    one, two = Ledger(it), Ledger(it)
    one.sell(10)
    two.sell(10)
    same(it.ctl("recover", "nobody/nothing").returncode, 1, "exit for a coupon that is not there")
    same(it.ctl("recover").returncode, 64, "exit without a name")
    found = one.recover()
    same((found["orders"], found["unknown"], found["available"]), (10, 0, 50), "orders, unknown, available")
    for books in (one, two):
        books.keeps()
        books.sells_the_rest()
        books.sale.audit()


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1)
