#!/usr/bin/env -S python3 -B
"""Dead letters: seen, decided about, and explained to the customer and in the books; never deleted."""

import concurrent.futures
import json
import re

from harness import main
from storm import Paused
from tap import case, every, same, until


def letters(it, sale, *words):
    done = it.ctl("--json", "dead", "list", *words)
    same((done.returncode, done.stderr), (0, ""), "exit and errors of the list")
    return [letter for letter in json.loads(done.stdout) if letter["coupon_id"] == sale.id]


def decide(it, code, *words):
    """What became of the letters: id -> problem, or "" when it was done."""
    done = it.ctl("--json", "dead", *words)
    same(done.returncode, code, f"exit of {words}: {done}")
    said = json.loads(done.stdout)
    assert all(one["done"] == (one["problem"] == "") for one in said), said
    return {one["id"]: one["problem"] for one in said}


def audit(it, sale):
    return json.loads(it.ctl("--json", "audit", sale.title).stdout)[0]


class Conflict:
    """A sale in whose MySQL a row stands in the way of one of its orders, which has become a dead letter."""

    def __init__(self, it, users, **more):
        self.it, self.sale, self.user = it, it.sale(amount=10, segments=1, **more), users[1]
        it.sql("INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
               f"VALUES ({self.sale.id}, 200, 1, {self.user.id}, 1, 1, 1)")
        with Paused(it):
            self.orders = [self.sale.win(user) for user in users]
        until(lambda: self.sale.queued() == 0, 10, "the list is empty")
        self.order = self.orders[1]
        self.letter = letters(it, self.sale)[0]
        self.id = self.letter["id"]

    def clear(self):
        """What stood in the way is taken away."""
        self.it.sql(f"DELETE FROM orders WHERE coupon_id = {self.sale.id} AND segment = 200")

    def status(self):
        return self.it.ask("GET", f"/api/orders/{self.order}", self.user).expect(200).json


@case("a dead letter is listed, as a table and as JSON")
def listed(it):
    c = Conflict(it, it.users(3))
    n = int(c.order.split("-")[2])
    shown = {name: c.letter[name] for name in ("seller", "coupon", "segment", "sequence", "state", "end_reason")}
    same(shown, {"seller": c.sale.seller.name, "coupon": c.sale.name, "segment": 0, "sequence": n, "state": "open",
                 "end_reason": ""}, "the letter")
    assert c.letter["record"].startswith(f"{n}|{c.user.id}|") and "live_unit" in c.letter["reason"], c.letter
    assert c.letter["at"] and c.letter["ended_at"] is None, c.letter
    text = it.ctl("dead", "list").stdout
    assert c.letter["record"] in text and c.letter["reason"] in text and c.sale.title in text, text


@case("bytes of a record are shown escaped")
def escaped(it):
    sale = it.sale(amount=3, segments=1)
    it.redis("RPUSH", sale.key("q", 0), b"\0\xff\n\\|\x1b[31m")
    it.redis("SADD", "sk:dirty", f"{sale.id}:1")
    letter = until(lambda: letters(it, sale), 10, "the dead letter")[0]
    same((letter["record"], letter["sequence"]), (r"\x00\xff\x0a\x5c|\x1b[31m", 0), "record and sequence")
    assert letter["record"] in it.ctl("dead", "list").stdout
    same(decide(it, 1, "retry", letter["id"]), {letter["id"]: "its record is not an order"}, "retried")
    decide(it, 0, "drop", letter["id"], "--reason", "noise")
    same(audit(it, sale)["problems"], [], "problems")


@case("a retry fails while MySQL refuses the order, and then inserts it")
def retried(it):
    c = Conflict(it, it.users(3))
    same(audit(it, c.sale)["problems"][-1]["kind"], "dead-letter", "the audit")
    problem = decide(it, 1, "retry", c.id)[c.id]
    assert "live_unit" in problem, problem
    same(letters(it, c.sale)[0], c.letter, "the letter after a refusal")
    same(it.sql.number(f"SELECT sold FROM coupons WHERE id = {c.sale.id}"), 2, "sold")
    c.clear()
    same(decide(it, 0, "retry", c.id), {c.id: ""}, "retried")
    same(len(c.sale.rows()), 3, "orders")
    same(c.sale.rows()[c.order], c.user.id, "whose")
    same(it.sql.number(f"SELECT sold FROM coupons WHERE id = {c.sale.id}"), 3, "sold")
    same(letters(it, c.sale), [], "open letters")
    same(letters(it, c.sale, "--all")[0]["state"], "retried", "state")
    same(decide(it, 1, "retry", c.id), {c.id: "it is an order by now"}, "again")
    same(decide(it, 1, "drop", c.id, "--reason", "x"), {c.id: "it is an order by now"}, "dropped")
    c.sale.audit()


@case("a dropped letter keeps its unit sold, and the audit can explain it")
def dropped(it):
    c = Conflict(it, it.users(3))
    c.clear()
    same(decide(it, 0, "drop", c.id, "--reason", "paid back in cash"), {c.id: ""}, "dropped")
    letter = letters(it, c.sale, "--all")[0]
    same((letter["state"], letter["end_reason"]), ("dropped", "paid back in cash"), "the letter")
    assert letter["ended_at"], letter
    same(letters(it, c.sale), [], "open letters")
    said = audit(it, c.sale)
    same((said["balanced"], said["sold"], said["rows"], said["dead_letters"], said["dropped"]), (True, 3, 2, 0, 1),
         "balanced, sold, rows, dead letters, dropped")
    assert "0 dead letters, 1 dropped" in it.ctl("audit", c.sale.title).stdout
    same(decide(it, 1, "retry", c.id), {c.id: "it was dropped"}, "retried")
    same(c.status()["status"], "failed", "status")


def finals(it, sale):
    row = it.sql(f"SELECT final, final_cancelled FROM coupons WHERE id = {sale.id}")[0]
    until(lambda: it.redis("HMGET", sale.key("hub"), "final", "final_cancelled") == row, 10, f"the hub is told {row}")
    return [int(n) for n in row]


@case("in a sale with payment the unit of a dead letter is final, until the letter becomes an order that waits for its payment")
def final(it):
    for end in ("retry", "drop"):
        c = Conflict(it, it.users(3), pay_within=3600)
        c.clear()
        same(finals(it, c.sale), [1, 0], "final units with a letter")
        same([f["kind"] for f in audit(it, c.sale)["problems"]], ["dead-letter"], "findings")
        decide(it, 0, end, c.id, *(["--reason", "given up"] if end == "drop" else []))
        same(finals(it, c.sale), [1, end == "retry"], f"final units after {end}")
        c.sale.audit()
    same(it.sql(f"SELECT status, COUNT(*) FROM orders WHERE coupon_id = {c.sale.id} GROUP BY status"), [["1", "2"]], "orders")


@case("the customer sees the order as failed, not as queued, and a repeated claim returns the same order")
def customer(it):
    c = Conflict(it, it.users(3))
    shown = c.status()
    same((shown["status"], shown["confirmed_at"]), ("failed", None), "the order")
    assert shown["claimed_at"], shown
    listed = it.ask("GET", c.user.path + "/orders", c.user).expect(200).json["data"]
    mine = {one["order"]: one["status"] for one in listed if one["coupon"] == c.sale.name}
    same(mine[c.order], "failed", "in the list")
    same(c.sale.claim(c.user).expect(200).json["order"], c.order, "claimed again")
    it.ask("GET", f"/api/orders/{c.order}", it.customer()).expect(404, "no-such-order")
    c.clear()
    decide(it, 0, "retry", c.id)
    same(c.status()["status"], "confirmed", "the order, retried")


@case("MySQL's constraints hold for a retry, too")
def fence(it):
    sale, users = it.sale(amount=10, segments=1), it.users(4)
    with Paused(it):
        for user in users:
            sale.win(user)
        it.sql(f"UPDATE coupons SET sold = 9 WHERE id = {sale.id}")
    until(lambda: sale.queued() == 0, 10, "the list is empty")
    ids = [letter["id"] for letter in letters(it, sale)]
    same(len(ids), 3, "dead letters")
    every(ids, lambda id: same(decide(it, 1, "retry", id), {id: "MySQL counts as many orders as there are units"},
                               "retried"))
    it.sql(f"UPDATE coupons SET sold = 1 WHERE id = {sale.id}")
    same(decide(it, 0, "retry", *ids), dict.fromkeys(ids, ""), "retried")
    sale.audit()


@case("a record that nobody won is not made an order")
def nobody(it):
    sale, users = it.sale(amount=5, segments=1), it.users(2)
    sale.win(users[0])
    sale.drained()
    it.sql("INSERT INTO dead_letters (coupon_id, segment, seq, record, digest, reason, at_ms) VALUES "
           f"({sale.id}, 0, 2, '2|{users[1].id}|1', REPEAT('x', 32), 'planted', 1), "
           f"({sale.id}, 0, 3, '3|{users[0].id}|1', REPEAT('y', 32), 'planted', 1), "
           f"({sale.id}, 0, 4, '5|{users[0].id}|1', REPEAT('z', 32), 'planted', 1)")
    ids = [letter["id"] for letter in letters(it, sale)]
    wanted = ["its customer has no order of this coupon in Redis", f"its customer has order {sale.id}-0-1 in Redis",
              "its record is not an order"]
    same(decide(it, 1, "retry", *ids), dict(zip(ids, wanted)), "retried")
    same(decide(it, 1, "retry", 999999), {999999: "there is no such dead letter"}, "retried")
    same(len(sale.rows()), 1, "orders")


@case("a dead letter that names a number as lost cannot be retried, and can be dropped")
def lost(it):
    sale, users = it.sale(amount=5, segments=1), it.users(2)
    sale.win(users[0])
    sale.drained()
    it.sql("INSERT INTO dead_letters (coupon_id, segment, seq, record, digest, reason, at_ms) VALUES "
           f"({sale.id}, 0, 2, '2|?|1', REPEAT('a', 32), 'given out, and lost by Redis: whose it was is not known', 1), "
           f"({sale.id}, 0, 3, '3|{users[1].id}|1', REPEAT('b', 32), "
           "'acknowledged, and lost by the servers that had it', 1)")
    unknown, known = [letter["id"] for letter in letters(it, sale)]
    same(decide(it, 1, "retry", unknown, known),
         {unknown: "it names a lost order, and its customer is not known",
          known: "its customer has no order of this coupon in Redis"}, "retried")
    decide(it, 0, "drop", unknown, known, "--reason", "paid back")
    same(letters(it, sale), [], "open letters")


@case("of many who retry the same letter at once, one makes the order")
def together(it):
    c = Conflict(it, it.users(3))
    c.clear()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        codes = sorted(done.returncode for done in pool.map(lambda _: it.ctl("dead", "retry", c.id), range(6)))
    same((codes[0], set(codes[1:]) <= {1, 2}), (0, True), f"exits {codes}")
    same(it.sql.number(f"SELECT sold FROM coupons WHERE id = {c.sale.id}"), 3, "sold")
    c.sale.audit()


@case("the drain goes on beside dead letters, and the metrics count those that are open")
def metrics(it):
    c = Conflict(it, it.users(3))
    more = it.users(3)
    for user in more:
        c.sale.win(user)
    until(lambda: c.sale.queued() == 0, 10, "the list is empty")
    same(len(c.sale.rows()), 2 + 1 + 3, "orders")

    def gauge():
        text = it.ask("GET", "/metrics").expect(200).body.decode()
        return int(re.search(r"^seckill_dead_letters_open (\d+)$", text, re.M).group(1))
    until(lambda: gauge() == len(json.loads(it.ctl("--json", "dead", "list").stdout)) > 0, 30, "the gauge")
    for letter in json.loads(it.ctl("--json", "dead", "list").stdout):
        decide(it, 0, "drop", letter["id"], "--reason", "the test is over")
    until(lambda: gauge() == 0, 30, "the gauge falls")
    same(it.ctl("dead", "list").stdout, "no dead letters\n", "the list")


@case("wrong arguments are refused and change nothing")
def usage(it):
    c = Conflict(it, it.users(3))
    every([(), ("list", "x"), ("retry",), ("retry", "x"), ("retry", c.id, "x"), ("drop", c.id), ("drop", "--reason", "x"),
           ("drop", c.id, "--reason"), ("drop", c.id, "--reason", ""), ("drop", c.id, "--reason", "x" * 256),
           ("retry", c.id, "--reason", "x"), ("bury", c.id)],
          lambda *words: same(it.ctl("dead", *words).returncode, 64, "exit"))
    same(letters(it, c.sale), [c.letter], "the letter")
    for setting in ("mysql_socket=/nowhere", "redis=unix:/nowhere"):
        done = it.ctl("-s", setting, "dead", "retry", c.id)
        same(done.returncode, 2, f"exit without a server: {done}")
    same(letters(it, c.sale), [c.letter], "the letter")


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1)
