#!/usr/bin/env -S python3 -B
"""MySQL fails, or is lost, amid a transaction: at each statement, before and after the server has done it, and amid answers."""

import re
import signal
import subprocess

from harness import BUILD, POOLS, main
from ledger import Ledger
from sqlproxy import behind_proxy, fails, the_proxy
from storm import Paused, kill
from stores import SqlError
from tap import case, every, same, until

DEADLOCK, LOCK_WAIT, COMMIT_FAILED, TOO_MANY_STATEMENTS, DISK_FULL = 1213, 1205, 1180, 1461, 1021

INSERT, SOLD, CURSORS = "INSERT INTO orders", "UPDATE coupons SET sold", "UPDATE drain_cursors"
BATCH = [(statement, how) for statement in (INSERT, SOLD, CURSORS) for how in (DEADLOCK, "before", "after", "half")]
BATCH += [("FOR UPDATE", how) for how in (DEADLOCK, "before", "after", "half", "half-error")]
BATCH += [("START TRANSACTION", how) for how in (DEADLOCK, "before", "after")]
BATCH += [("^COMMIT$", how) for how in (COMMIT_FAILED, DISK_FULL, "before", "after", "half")]


@case("a batch of orders: each statement fails or loses the connection, and so does COMMIT: every order is one row")
def batch(it):
    sale, users, orders = it.sale(amount=200, segments=2), iter(it.users(len(BATCH) + 20)), {}

    def survives(statement, how, **more):
        user = next(users)
        with fails(statement, how, **more):
            orders[sale.win(user)] = user.id
        until(lambda: sale.queued() == 0, 30, "the lists are empty")
        same(sale.rows(), orders, "rows")
    every(BATCH, survives)
    for how in (TOO_MANY_STATEMENTS, "before", "after", "half"):
        for statement in ("FOR UPDATE", INSERT, CURSORS):
            the_proxy().hang_up()
            survives(statement, how, prepare=True)
    same(it.sql("SELECT * FROM dead_letters"), [], "dead letters")
    same(it.sql.number(f"SELECT sold FROM coupons WHERE id = {sale.id}"), len(orders), "units sold")
    sale.audit()


LETTER = "INSERT INTO dead_letters"
LOST = "given out, and lost by Redis: whose it was is not known"
BURIAL = [(statement, how, 0) for statement in (LETTER, CURSORS) for how in (DEADLOCK, "before", "after")]
BURIAL += [("^COMMIT$", how, 0) for how in (COMMIT_FAILED, "before", "after")]
# The third transaction: the first two are the batch's and the order's own.
BURIAL += [("START TRANSACTION", "before", 2), ("FOR UPDATE", DEADLOCK, 2), ("FOR UPDATE", "half", 2)]


@case("an order that MySQL refuses: its dead letter's transaction fails at each statement, and the letter is one")
def burial(it):
    def survives(statement, how, skip):
        sale, users = it.sale(amount=10, segments=1), it.users(2)
        it.sql("INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
               f"VALUES ({sale.id}, 200, 1, {users[0].id}, 1, 1, 1)")
        with fails(statement, how, skip=skip):
            refused = sale.win(users[0])
        until(lambda: sale.queued() == 0, 30, "the list is empty")
        other = sale.win(users[1])
        until(lambda: other in sale.rows(), 30, "the next order is a row")
        same(it.sql(f"SELECT segment, seq, state FROM dead_letters WHERE coupon_id = {sale.id}"),
             [[*refused.split("-")[1:], "0"]], "dead letters")
        same(sale.rows(), {f"{sale.id}-200-1": users[0].id, other: users[1].id}, "rows")
        same(it.sql.number(f"SELECT sold FROM coupons WHERE id = {sale.id}"), 1, "units sold")
    every(BURIAL, survives)


RANGES = "INSERT INTO number_ranges"
EARLIER = [(statement, how) for statement in (RANGES, LETTER, "UPDATE dead_letters") for how in (DEADLOCK, "after")]
EARLIER += [(statement, how) for statement in ("SELECT seq, user_id, unit FROM orders", "SELECT seq, id, state")
            for how in ("half", "half-error")]
EARLIER += [("^COMMIT$", how) for how in (COMMIT_FAILED, "after")]


@case("orders above earlier bases, lost numbers, one that is found again: each statement fails, and each is written once")
def earlier(it):
    seller, crowd = it.seller(), iter(it.users(4 * len(EARLIER)))

    def survives(statement, how):
        sale, users = it.sale(seller, amount=10, segments=1), [next(crowd) for _ in range(4)]
        with fails(statement, how), Paused(it):
            orders = {sale.win(user): user.id for user in users[:2]}
            sale.name_lost(3, 4)
            sale.begin_anew()
            it.sql("INSERT INTO dead_letters (coupon_id, segment, seq, record, digest, reason, at_ms) VALUES "
                   f"({sale.id}, 0, 5, '5|?|1', REPEAT('x', 32), '{LOST}', 1)")
            it.redis("RPUSH", sale.key("q", 0), f"5|{users[2].id}|1700000000000")
            orders |= {f"{sale.id}-0-5": users[2].id, sale.win(users[3]): users[3].id}
        until(lambda: sale.queued() == 0, 30, "the list is empty")
        same(sale.rows(), orders, "rows")
        letters = it.sql(f"SELECT seq, state FROM dead_letters WHERE coupon_id = {sale.id} ORDER BY seq")
        same(letters, [["3", "0"], ["4", "0"], ["5", "1"]], "dead letters and their states")
        same(it.sql.number(f"SELECT sold FROM coupons WHERE id = {sale.id}"), 4, "units sold")
        same(it.sql.number(f"SELECT count FROM number_ranges WHERE coupon_id = {sale.id} AND base = 0"), 5, "range")
    every(EARLIER, survives)


@case("a record that is no order: its dead letter is written once, however often that fails")
def garbage(it):
    def survives(how):
        sale = it.sale(amount=10, segments=1)
        with fails(LETTER, how):
            it.redis("RPUSH", sale.key("q", 0), "no order")
            it.redis("SADD", "sk:dirty", f"{sale.id}:1")
        until(lambda: sale.queued() == 0, 30, "the list is empty")
        same(it.sql(f"SELECT record FROM dead_letters WHERE coupon_id = {sale.id}"), [["no order"]], "dead letters")
    every([DEADLOCK, "before", "after"], survives)


@case("a decision about a dead letter that fails: nothing is decided; one whose answer is lost was made, or can be made again")
def decisions(it):
    def letter():
        sale, user = it.sale(amount=10, segments=1), it.customer()
        it.sql("INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
               f"VALUES ({sale.id}, 200, 1, {user.id}, 1, 1, 1)")
        sale.win(user)
        until(lambda: sale.queued() == 0, 30, "the list is empty")
        it.sql(f"DELETE FROM orders WHERE coupon_id = {sale.id}")
        return sale, it.sql(f"SELECT id FROM dead_letters WHERE coupon_id = {sale.id}")[0][0]

    def state(id):
        return int(it.sql(f"SELECT state FROM dead_letters WHERE id = {id}")[0][0])

    def decided(words, statement, how):
        sale, id = letter()
        command = ["dead", words[0], id, *words[1:]]
        with fails(statement, how):
            same(it.ctl(*command).returncode, 2, "exit of the first try")
        done = 0 if how != "after" or statement != "^COMMIT$" else 1 + (words[0] == "drop")
        same((state(id), len(sale.rows())), (done, done == 1), "state, rows")
        same(it.ctl(*command).returncode, 1 if done else 0, "exit of the second try")
        same((state(id), len(sale.rows())), (1 + (words[0] == "drop"), words[0] == "retry"), "state, rows")
        same(it.sql.number(f"SELECT sold FROM coupons WHERE id = {sale.id}"), len(sale.rows()), "units sold")
    every([(["retry"], INSERT, DEADLOCK), (["retry"], INSERT, "after"), (["retry"], "UPDATE dead_letters", "before"),
           (["retry"], "^COMMIT$", COMMIT_FAILED), (["retry"], "^COMMIT$", "before"), (["retry"], "^COMMIT$", "after"),
           (["drop", "--reason", "x"], "^COMMIT$", COMMIT_FAILED), (["drop", "--reason", "x"], "^COMMIT$", "after"),
           (["drop", "--reason", "x"], "FOR UPDATE", "half")], decided)


READS = ["SELECT GET_LOCK", r"WHERE c.id = \?", "ORDER BY segment FOR UPDATE", "SELECT amount, sold, withdrawn",
         "SELECT o.seq, o.user_id, o.claimed_at_ms", "SELECT id, seq, record, state, reason FROM dead_letters",
         "FROM number_ranges", "SELECT hub_term",
         r"SELECT segment, COUNT\(\*\) FROM orders"]
WRITES = [r"UPDATE coupons SET generation = \?", INSERT, "INSERT INTO drain_cursors", SOLD]
RECOVERY = [(statement, how) for statement in READS for how in ("half", "half-error")]
RECOVERY += [(statement, how) for statement in WRITES for how in (DEADLOCK, "before", "after")]
RECOVERY += [("^COMMIT$", how) for how in (COMMIT_FAILED, "before", "after")]


@case("a recovery whose reads end half-way or whose writes fail reports it and opens nothing; the next one is exact")
def recovery(it):
    books = Ledger(it, amount=60, segments=2, customers=60)
    books.sell(len(RECOVERY))
    books.sale.drained()
    title, orders = books.sale.title, {order: user for user, order in books.told.items()}

    def survives(statement, how):
        """MySQL has lost one of the orders that it had."""
        it.sql(f"DELETE FROM orders WHERE coupon_id = {books.sale.id} LIMIT 1; "
               f"UPDATE coupons SET sold = sold - 1 WHERE id = {books.sale.id}")
        with fails(statement, how):
            done = it.ctl("recover", title)
        same((done.returncode, done.stdout), (69, ""), f"exit and output: {done.stderr}")
        assert f"coupon {books.sale.id}: " in done.stderr, done.stderr
    it.dev("stop", "drain")  # a statement of a drainer could fail instead
    every(RECOVERY, survives)
    it.dev("start", "drain")
    books.closed()
    found = books.recover()
    same([found[name] for name in ("orders", "unknown", "refused", "available")], [len(orders), 0, 0, 60 - len(orders)],
         "orders, unknown, refused, available")
    same(books.sale.rows(), orders, "rows")
    books.keeps()
    books.sells_the_rest()
    books.sale.audit()


SHORTER = {"new": "timeout = 3  ", "instead_of": "timeout = 600"}
HELD = [(r"UPDATE coupons SET generation = \?", 69), ("SELECT amount, sold, withdrawn", 69), ("SELECT RELEASE_LOCK", 0)]


@case("the host of a recovery is lost, before, in and behind its transaction: MySQL frees its locks, and another host recovers")
def lost_recovery(it):
    books = Ledger(it, amount=30, segments=2, customers=40)
    books.sell(12)
    books.sale.drained()

    def survives(statement, code):
        """As long as the server waits for it (600 s in fact) no other recovery begins."""
        words = [BUILD / "seckillctl", "-c", it.run / "drain.conf", "recover", books.sale.title]
        with the_proxy().says(**SHORTER), the_proxy().holds(statement) as held:
            with subprocess.Popen(words, env=it.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as lost:
                until(held, 10, "it is cut off")
                done = it.ctl("recover", books.sale.title)
                same((done.returncode, "another recovery of it is running" in done.stderr), (69, True), f"exit: {done.stderr}")
                until(lambda: it.ctl("recover", books.sale.title).returncode == 0, 10, "another one recovers")
                same(lost.wait(10), code, "exit of the one that was cut off")
        books.keeps()
    every(HELD, survives)
    books.sells_the_rest()
    books.sale.audit()


@case("the host of a creation is lost with its lock: MySQL frees it, and another worker finishes the creation")
def lost_creation(it):
    seller, body = it.seller(), {"name": "held", "amount": 5, "stock": 1, "description": "", "segments": 2}

    def create():
        return it.ask("POST", seller.path + "/coupons", seller, body)
    with the_proxy().says(**SHORTER), the_proxy().holds("UPDATE coupons SET published") as held:
        with it.asking("POST", seller.path + "/coupons", seller, body) as answers:
            until(held, 10, "it is cut off")
            until(lambda: create().status == 201, 10, "another one creates it")
        answers[0].expect(503)
    same(it.ctl("audit", f"{seller.name}/held").returncode, 0, "exit of the audit")


@case("a page whose rows end half-way is an error, not a shorter page")
def pages(it):
    sales, user = [it.sale(amount=3, segments=1) for _ in range(6)], it.customer()
    for sale in sales:
        sale.win(user)
        sale.drained()
    path = user.path + "/orders"

    def whole():
        same(len(it.ask("GET", path, user).expect(200).json["data"]), 6, "orders")

    def cut(how, **more):
        whole()
        with fails("FROM orders", how, **more):
            answer = it.ask("GET", path, user)
        assert answer.status in (500, 503), answer
        whole()
    every([("half",), ("half-error",), ("before",), ("after",), (TOO_MANY_STATEMENTS,)], cut)


@case("a command whose rows end half-way prints none and fails")
def lists(it):
    sale = it.sale(amount=5, segments=1)
    sale.win(it.customer())
    sale.drained()

    def cut(code, pattern, *words):
        whole = it.ctl(*words)
        same((whole.returncode, whole.stdout != ""), (0, True), "exit and output")
        for how in ("half", "half-error"):
            with fails(pattern, how):
                done = it.ctl(*words)
            same((done.returncode, done.stdout), (code, ""), f"exit and output, {how}")
        same(it.ctl(*words).stdout, whole.stdout, "the output afterwards")
    every([(2, "FROM orders", "--json", "audit", sale.title), (2, "FROM orders", "audit", sale.title),
           (2, "FROM dead_letters", "--json", "dead", "list", "--all"), (69, "FROM users", "--json", "user", "list"),
           (69, "FROM users", "user", "list")], cut)


@case("a coupon whose INSERT or COMMIT fails: 503, and whoever asks again has one coupon")
def creation(it):
    seller = it.seller()

    def survives(statement, how):
        body = {"name": it.name("c"), "amount": 5, "stock": 1, "description": "", "segments": 2}
        with fails(statement, how):
            it.ask("POST", seller.path + "/coupons", seller, body).expect(503)
        it.ask("POST", seller.path + "/coupons", seller, body).expect(201)
        same(it.sql(f"SELECT published FROM coupons WHERE seller_id = {seller.id} AND name = '{body['name']}'"), [["1"]], "rows")
        same(it.ctl("audit", f"{seller.name}/{body['name']}").returncode, 0, "exit of the audit")
    every([("INSERT INTO coupons", how) for how in (DEADLOCK, "before", "after")] +
          [("^COMMIT$", how) for how in (COMMIT_FAILED, "before", "after")] + [("SELECT GET_LOCK", "half")], survives)


@case("a creation that was cut short is removed, row and keys, however often that fails")
def removal(it):
    seller = it.seller()

    def survives(statement, how):
        body = {"name": it.name("c"), "amount": 5, "stock": 1, "description": "", "segments": 2}
        with fails("UPDATE coupons SET published", DEADLOCK):
            it.ask("POST", seller.path + "/coupons", seller, body).expect(503)
        row = f"FROM coupons WHERE seller_id = {seller.id} AND name = '{body['name']}'"
        keys = [f"sk:{{{it.sql(f'SELECT id {row}')[0][0]}:{slot}" for slot in ("h}:hub", "0}:s", "1}:s")]
        same(it.redis("EXISTS", *keys), 3, "keys")
        it.sql(f"UPDATE coupons SET created_at_ms = created_at_ms - 700000 WHERE seller_id = {seller.id}")
        with fails(statement, how):
            kill(it.full("drain"), signal.SIGTERM)  # the next one looks at once
        kill(it.full("drain"), signal.SIGTERM)
        until(lambda: it.sql(f"SELECT id {row}") == [], 30, "the row is gone")
        if (statement, how) == ("^COMMIT$", "after"):  # the drainer does not know that the row is gone
            it.ctl("audit")
        until(lambda: it.redis("EXISTS", *keys) == 0, 5, "the keys are gone")
        it.ask("POST", seller.path + "/coupons", seller, body).expect(201)
    every([("FROM unpublished_coupons WHERE id = .* FOR UPDATE", "before"), ("DELETE FROM unpublished", DEADLOCK),
           ("DELETE FROM unpublished", "after"), ("^COMMIT$", COMMIT_FAILED), ("^COMMIT$", "before"), ("^COMMIT$", "after")],
          survives)


@case("a registration whose answer is lost: 503, and the account is there or can be made")
def registration(it):
    def survives(how, again):
        name = it.name("u")
        with fails("INSERT INTO users", how):
            it.register(name, "customer").expect(503)
        it.register(name, "customer").expect(again)
        it.log_in(name).expect(200)
    every([(DEADLOCK, 201), ("before", 201), ("after", 400), ("half", 400)], survives)


@case("units are added and MySQL is lost before or after it has counted them: 503, and they are for sale once, or not at all")
def addition(it):
    sale = it.sale(amount=5, segments=1)

    def survives(statement, how, more):
        before = sale.read()["amount"]
        with fails(statement, how):
            it.ask("PATCH", sale.path + "/stock", sale.seller, {"add": 3}).expect(503)
        until(lambda: sale.read()["amount"] == before + more, 30, "the amount")
        same(it.sql.number(f"SELECT amount FROM coupons WHERE id = {sale.id}"), before + more, "the amount in MySQL")
    every([("UPDATE coupons SET amount", how, 0) for how in ("before", "after", DEADLOCK)] +
          [("^COMMIT$", "before", 0), ("^COMMIT$", "after", 3)], survives)
    sale.audit()


SCHEMA = """SELECT table_name, column_name, column_type, column_key FROM information_schema.columns
    WHERE table_schema = 'seckill' ORDER BY 1, 2"""
# Tables are made and changed outside any transaction, and so is the record of that: it comes last.
MIGRATION = [("START TRANSACTION", "before", 0), ("GET_LOCK", LOCK_WAIT, 0), ("CREATE TABLE IF NOT EXISTS users", DISK_FULL, 0),
             ("CREATE TABLE IF NOT EXISTS users", "before", 0), ("CREATE TABLE IF NOT EXISTS users", "after", 0),
             ("INSERT INTO schema_migrations", DEADLOCK, 0), ("INSERT INTO schema_migrations", "after", 1),
             ("COMMIT AND CHAIN", "before", 2), ("COMMIT AND CHAIN", "after", 3)]


@case("a migration that fails, or may not change a table: it names the file and the statement, and the next one finishes it")
def migration(it):
    schema, last = it.sql(SCHEMA), it.sql.number("SELECT MAX(version) FROM schema_migrations")
    for part in POOLS:
        it.dev("stop", part)
    objects = it.sql("SELECT IF(table_type = 'VIEW', 'VIEW', 'TABLE'), table_name FROM information_schema.tables "
                     "WHERE table_schema = 'seckill'")
    it.sql("SET foreign_key_checks = 0; " + "; ".join(f"DROP {kind} {name}" for kind, name in objects))

    def migrate(*settings):
        owner = ("-s", "mysql_user=seckill_owner", "-s", f"mysql_password_file={it.run}/etc/mysql-owner.password")
        return it.ctl(*(settings or owner), "migrate")

    def version():
        try:
            return it.sql.number("SELECT COALESCE(MAX(version), 0) FROM schema_migrations")
        except SqlError:
            return 0

    def survives(statement, how, reached):
        with fails(statement, how):
            done = migrate()
        same((done.returncode, version()), (69, reached), f"exit and version: {done.stdout}{done.stderr}")
    every(MIGRATION, survives)
    it.sql("GRANT SELECT, INSERT, CREATE ON seckill.* TO seckill_drain@localhost")
    done = migrate("-c", it.run / "drain.conf")
    same((done.returncode, done.stdout, version()), (71, "", 4), f"exit, output and version: {done.stderr}")
    assert re.fullmatch(r"seckillctl migrate: 005_quotas: statement 3: MySQL error 1142: ALTER command denied .*\n",
                        done.stderr), done.stderr
    it.sql("REVOKE ALL ON seckill.* FROM seckill_drain@localhost")
    survives("^COMMIT$", "before", last)  # behind the last file
    done = migrate()
    same((done.returncode, version(), it.sql(SCHEMA)), (0, last, schema), f"exit, version and schema: {done.stderr}")
    for part in POOLS:
        it.dev("start", part)
    it.sale().win(it.customer())


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1, SECKILL_DRAINERS=1, SECKILL_MYSQL_SOCKET=behind_proxy)
