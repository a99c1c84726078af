#!/usr/bin/env -S python3 -B
"""A seller's requests that are sent again: with an Idempotency-Key each is carried out once, whoever is killed, and with
If-Match only while the sale is as the seller has seen it."""

from concurrent.futures import ThreadPoolExecutor

import faultpoints
from harness import main
from orderlife import cancel, contradictions, sale_with_price, status, totals, win
from sqlproxy import behind_proxy, fails
from tap import case, every, pause, same, until

COUPON = {"name": "tea", "amount": 9, "stock": 1, "description": "", "segments": 3}
KEYS = 20
NOT_ANSWERED = ("unavailable", "outcome-unknown", "busy", "in-progress")


class Deed:
    """A request with a key of its own, and what must be true however often it was sent."""

    def __init__(self, it):
        self.it, self.key = it, it.name("key-")

    def send(self, key=None, client=None, **more):
        """Sends it with its key, or another one."""
        return (client or self.it).ask(*self.request(**more), headers={"Idempotency-Key": key or self.key})

    def insist(self):
        """Sends it until it is answered."""
        for _ in range(60):
            answer = self.send()
            if answer.status < 400:
                return answer
            assert answer.code in NOT_ANSWERED, answer
            pause(0.1, "the pace of who asks again")
        raise AssertionError(answer)

    def settle(self):
        """The deed is done. It is sent again, and then once more after the sale has moved on: the answer stays the same."""
        first = self.insist()
        for move in (lambda: None, self.move_on):
            move()
            same(self.what(self.send().expect(first.status)), self.what(first), "the answer again")
        self.judge()

    @staticmethod
    def what(answer):
        """What each answer has in common with the first."""
        return answer.body, answer.headers["ETag"], answer.headers["Location"]


def rows(it, seller):
    return it.sql.number(f"SELECT COUNT(*) FROM idempotency_keys WHERE seller_id = {seller.id}")


class Add(Deed):
    POINTS = ("supply_written", "key_written", "supply_counted", "supply_told", "supply_cleared", "supply_opening_waits")

    def __init__(self, it):
        super().__init__(it)
        self.sale, self.more = it.sale(amount=6, segments=3), 0

    def request(self, add=7, **_):
        return "PATCH", self.sale.path + "/stock", self.sale.seller, {"add": add}

    def move_on(self):
        self.it.ask("PATCH", self.sale.path + "/stock", self.sale.seller, {"add": 100}).expect(200)

    def judge(self):
        hub = int(self.it.redis("HGET", self.sale.key("hub"), "amount"))
        same((self.it.sql.number(f"SELECT amount FROM coupons WHERE id = {self.sale.id}"), hub), (113, 113), "units")


class Create(Deed):
    POINTS = ("create_inserted", "key_written", "create_hub", "create_segment", "create_published", "create_entering",
              "create_entered")

    def __init__(self, it):
        super().__init__(it)
        self.seller, self.name = it.seller(), it.name("tea")

    def request(self, amount=9, **more):
        return "POST", self.seller.path + "/coupons", self.seller, COUPON | {"name": self.name, "amount": amount} | more

    def move_on(self):
        """More units; and the sale is over, so that the request would be refused."""
        path = f"{self.seller.path}/coupons/{self.name}"
        self.it.ask("PATCH", path + "/stock", self.seller, {"add": 1}).expect(200)
        self.it.sql(f"UPDATE coupons SET ends_at_ms = 1 WHERE seller_id = {self.seller.id}")

    def judge(self):
        same(self.it.sql(f"SELECT COUNT(*), SUM(published), SUM(amount) FROM coupons WHERE seller_id = {self.seller.id}"),
             [["1", "1", "10"]], "coupons")
        self.it.ask("GET", f"{self.seller.path}/coupons/{self.name}?x").expect(200)


class Cancel(Deed):
    POINTS = ("life_locked", "life_ended", "life_counted", "key_written", "life_committed")

    def __init__(self, it):
        super().__init__(it)
        if not hasattr(it, "shop"):
            it.shop, it.people = sale_with_price(it, amount=100, segments=2), it.users(50)
        self.order = win(it.shop, it.people.pop())
        self.before = totals(it, it.shop)

    def request(self, reason="no more", order=None):
        return "DELETE", f"/api/orders/{order or self.order}", self.it.shop.seller, {"reason": reason}

    def move_on(self):
        pass

    def judge(self):
        same(status(self.it, self.order), "cancelled", "order")
        same(totals(self.it, self.it.shop)[1] - self.before[1], 1, "units that came back")
        same(contradictions(self.it, self.it.shop), [], "contradictions")


class Withdraw(Deed):
    POINTS = ("steer_locked", "steer_written", "key_written", "steer_committed", "steer_told", "steer_done")

    def __init__(self, it):
        super().__init__(it)
        self.sale = it.sale(amount=40, segments=3)

    def request(self, withdraw=7, **_):
        return "PATCH", self.sale.path + "/sale", self.sale.seller, {"withdraw": withdraw}

    def move_on(self):
        self.it.ask("PATCH", self.sale.path + "/sale", self.sale.seller, {"withdraw": 5}).expect(200)

    @staticmethod
    def what(answer):
        """An answer has the settings of that moment."""
        return answer.json["withdrew"]

    def judge(self):
        hub = int(self.it.redis("HGET", self.sale.key("hub"), "withdrawn"))
        same((self.it.sql.number(f"SELECT withdrawn FROM coupons WHERE id = {self.sale.id}"), hub), (12, 12), "withdrawn")


DEEDS = (Add, Create, Cancel, Withdraw)


@case("a worker is killed at each point: the request is sent again until it is answered, and was carried out once")
def killed(it):
    def survives(kind, point):
        deed = kind(it)
        struck = faultpoints.arm(point, "kill")
        try:
            deed.send()
            assert struck(), "nobody passed the point"
        finally:
            faultpoints.disarm()
        deed.settle()
        it.full("cold")
    others = faultpoints.some((kind, point) for kind in (Create, Cancel, Withdraw) for point in kind.POINTS)
    every([(Add, point) for point in Add.POINTS] + others, survives)


@case("MySQL's answer is lost, at the commit and at the key's row: carried out once")
def lost_answers(it):
    def survives(kind, statement, how):
        deed = kind(it)
        with fails(statement, how):
            deed.send()
        deed.settle()
    every(faultpoints.some((kind, statement, how) for kind in DEEDS
                           for statement in ("^COMMIT$", "INSERT INTO idempotency_keys") for how in ("before", "after")), survives)


@case("many at once with one key, in several workers: once, and all who are answered get the same answer")
def at_once(it):
    for kind in DEEDS:
        deed = kind(it)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: deed.send(client=it.new_client()), range(8)))
        done = [(answer.status, deed.what(answer)) for answer in answers if answer.status < 400]
        same(len(set(done)), 1, f"different answers of {kind.__name__}: {done}")
        same({answer.code for answer in answers if answer.status >= 400} <= set(NOT_ANSWERED), True, f"{answers}")
        deed.settle()


@case("the same key for another request: 422, and nothing is done; another seller may use it; the first answer stays")
def reused(it):
    add, create, gone, withdraw = Add(it), Create(it), Cancel(it), Withdraw(it)
    other = Cancel(it)
    for deed, more in ((add, {"add": 8}), (create, {"amount": 8}), (gone, {"reason": "another"}),
                       (gone, {"order": other.order}), (withdraw, {"withdraw": 8})):
        first = deed.insist()
        deed.send(**more).expect(422, "key-reused")
        same(deed.what(deed.send()), deed.what(first), "the first answer")
    same(status(it, other.order), "pending", "the other order")
    create.key, create.name = gone.key, "another"
    create.send().expect(201)
    same((rows(it, create.seller), rows(it, add.sale.seller)), (2, 1), "keys")
    create.name = "a third"
    create.send().expect(422, "key-reused")
    add.settle()


@case("the first request is still at work: 409 in-progress at once; afterwards its answer")
def at_work(it):
    for kind in DEEDS:
        deed = kind(it)
        struck = faultpoints.arm("key_written", "stall=900")
        try:
            with it.asking(*deed.request(), None, {"Idempotency-Key": deed.key}) as answers:
                until(struck, 5, "the key is written")
                deed.send(client=it.new_client()).expect(409, "in-progress")
                same(answers, [], "the first answer is still to come")
        finally:
            faultpoints.disarm()
        assert answers[0].status < 400, answers
        same(deed.what(deed.send()), deed.what(answers[0]), "its answer")
        deed.settle()


@case("what was refused has no key: it may succeed with it later. A key that is malformed is refused")
def refusals(it):
    add, create = Add(it), Create(it)
    add.send(add=0).expect(400, "bad-field")
    add.send(add=1000000000).expect(400, "bad-field")
    it.ask("PATCH", add.sale.path + "x/stock", add.sale.seller, {"add": 7}, headers={"Idempotency-Key": add.key}).expect(404)
    create.send(ends_at="2001-01-01T00:00:00Z").expect(400, "bad-field")
    it.ask(*create.request()).expect(201)
    create.send().expect(400, "duplicate-coupon")
    same((rows(it, add.sale.seller), rows(it, create.seller)), (0, 0), "keys")
    for key in ("x" * 256, "a b"):
        add.send(key).expect(400, "bad-request").names("Idempotency-Key")
    add.send(add.key).expect(200)
    add.settle()


@case("a key is kept for 24 hours, and then deleted; a seller has only so many of them")
def kept(it):
    add = Add(it)
    seller = add.sale.seller
    add.send().expect(200)
    it.sql(f"INSERT INTO idempotency_keys (seller_id, idempotency_key, digest, at_ms, answer) SELECT {seller.id}, "
           f"CONCAT('old', seq), '', (UNIX_TIMESTAMP() - 86400 + IF(seq > 1010, 60, -1)) * 1000, '' FROM seq_1_to_{1010 + KEYS}")
    other = it.name("key-")
    add.send(other).expect(429, "quota-exceeded").names("keys_per_seller")
    add.send().expect(200)  # is answered all the same
    it.restart("drain")
    until(lambda: rows(it, seller) == KEYS + 1, 5, "all old ones are deleted, and no other")
    add.send(other, add=1).expect(200)
    add.send(it.name("key-"), add=1).expect(429, "quota-exceeded")
    it.ask(*add.request(add=1)).expect(200)
    same(it.sql.number(f"SELECT amount FROM coupons WHERE id = {add.sale.id}"), 6 + 7 + 2, "units")


@case("a creation that was cut short and removed: its key goes with it, and the same request makes the coupon anew")
def abandoned(it):
    create, plain = Create(it), Create(it)
    for deed, key in ((create, {"Idempotency-Key": create.key}), (plain, {})):
        struck = faultpoints.arm("create_hub", "kill")
        it.ask(*deed.request(), headers=key)
        same(struck(), True, "killed")
        faultpoints.disarm()
        it.full("cold")
    same((rows(it, create.seller), rows(it, plain.seller)), (1, 0), "keys")
    it.sql(f"UPDATE coupons SET created_at_ms = 1 WHERE seller_id = {create.seller.id}")
    it.restart("drain")
    until(lambda: rows(it, create.seller) == 0, 5, "it is removed")
    create.settle()
    plain.settle()  # goes on where the request without a key was cut short
    same(rows(it, plain.seller), 1, "keys")


@case("If-Match: only a sale that is as the seller has seen it gets more units; of many who saw the same, one")
def if_match(it):
    sale = it.sale()

    def add(condition, client=None):
        return (client or it).ask("PATCH", sale.path + "/stock", sale.seller, {"add": 1},
                                  headers={"If-Match": condition} if condition else {})
    old = it.ask("GET", sale.path + "/sale", sale.seller).expect(200).headers["ETag"]
    old = add(old).expect(200).headers["ETag"]
    same(it.ask("GET", sale.path + "/sale", sale.seller).headers["ETag"], old, "the ETag of the settings")
    new = add(old).expect(200).headers["ETag"]
    for condition in (old, "W/" + new, '"x"', f'{old}, "y"'):
        add(condition).expect(412, "precondition-failed")
    for condition in ("x", new[:-1], "*, " + new, new + new):
        add(condition).expect(400, "bad-request").names("If-Match")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: add(new, it.new_client()).status, range(8)))
    same(sorted(answers), [200] + [412] * 7, "answers")
    add("*").expect(200)
    add(f'"z" ,, {add(None).headers["ETag"]}').expect(200)
    same(it.sql.number(f"SELECT amount FROM coupons WHERE id = {sale.id}"), 10 + 6, "units")


@case("a key and If-Match: the request that is sent again is not held against what it has changed itself")
def both(it):
    deed = Add(it)
    tag = it.ask(*deed.request()).expect(200).headers["ETag"]
    with_tag = {"Idempotency-Key": deed.key, "If-Match": tag}
    first = it.ask(*deed.request(), headers=with_tag).expect(200)
    same(it.ask(*deed.request(), headers=with_tag).expect(200).body, first.body, "the answer again")
    it.ask(*deed.request(), headers=with_tag | {"Idempotency-Key": "new"}).expect(412)
    same(first.json["amount"], 6 + 14, "units")


if __name__ == "__main__":
    faultpoints.build()
    main(SECKILL_PASSWORD_COST=1, SECKILL_COLD=3, SECKILL_DRAINERS=2, SECKILL_MYSQL_SOCKET=behind_proxy,
         SECKILL_KEYS_PER_SELLER=KEYS + 2, **faultpoints.SETTINGS)
