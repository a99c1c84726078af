#!/usr/bin/env -S python3 -B
"""What a seller changes in a running sale (src/steer), called without HTTP, while customers claim."""

import time

from ended import cancel, settled
from harness import main
from steerers import Crowd, everywhere, expect, now_ms, rfc3339, slots
from storm import kill
from tap import allowed, case, comment, pause, same, until


def settle(it, sale):
    sale.drained()
    until(lambda: it.sql.number(f"SELECT state_told FROM coupons WHERE id = {sale.id}") == 1, 10, "all changes are done")
    sale.audit()


@case("while customers claim, a sale is paused, resumed and ended: each within a second, and nobody wins after the answer")
def paused(it):
    sale = it.sale(amount=100000, segments=8)
    with Crowd(it, sale, users=4000) as crowd:
        for state, code in (("paused", "paused"), ("open", None), ("paused", "paused"), ("ended", "ended")):
            began = time.monotonic()
            said = expect(it, sale, state=state)
            took = time.monotonic() - began
            same((said.state, said.told), (state, True), "settings")
            everywhere(it, sale, said.version, state)
            answered = time.monotonic()
            pause(0.4, "claims go on")
            assert took < allowed(1), took
            if code:
                same(len(crowd.won_after(answered)), 0, "orders after the answer")
                codes = {a[2] for a in crowd.answers if a[0] > answered and a[1] >= 400}
                same(codes, {code}, "what the others are told")
                again = next(u for u in it.users(1))
                sale.claim(again).expect(409 if code == "paused" else 410, code)
            else:
                until(lambda: crowd.won_after(answered), 5, "customers win again")
            comment(f"{state}: {took * 1000:.0f} ms")
        winners = [a for a in crowd.answers if a[1] == 201]
    assert winners
    settle(it, sale)


@case("who has an order gets it from a paused or ended sale, too")
def mine(it):
    sale, user = it.sale(amount=10, segments=2), it.customer()
    order = sale.win(user)
    for state in ("paused", "ended"):
        expect(it, sale, state=state)
        same(sale.claim(user).expect(200).json["order"], order, "order")
    settle(it, sale)


@case("a paused sale that has nothing left is paused and not sold out, also for workers with a sold-out notice")
def not_sold_out(it):
    sale, users = it.sale(amount=4, segments=2), it.users(64)
    for user in users[:4]:
        sale.win(user)
    for user in users[4:]:
        sale.claim(user).expect(410, "sold-out")
    expect(it, sale, state="paused")
    pause(0.7, "sold-out notices run out")
    for user in users[4:24]:
        sale.claim(user).expect(409, "paused")
    settle(it, sale)


@case("the rules: what may be changed when, and what a refusal says")
def rules(it):
    now = now_ms()
    sale = it.sale(amount=10, segments=2, starts_at=rfc3339(now + 3600_000), ends_at=rfc3339(now + 7200_000), price=5,
                   currency="EUR")
    version = expect(it, sale, description="another text", price=7).version
    page = sale.read()
    same((page["description"], page["price"]), ("another text", 7), "page")
    expect(it, sale, "bad-field", "after starts_at", starts_at=now + 9000_000)
    expect(it, sale, "bad-field", "after starts_at", ends_at=now + 1800_000)
    expect(it, sale, "bad-field", "in the future", ends_at=now - 1000)
    same(expect(it, sale, state="open", price=7).version, version, "version after nothing was changed")
    said = expect(it, sale, starts_at=now + 5000_000, ends_at=0)
    same(said.version, version + 1, "version")
    everywhere(it, sale, now + 5000_000, 0, fields=("t0", "t1"))
    sale.claim(it.customer()).expect(409, "not-started")
    expect(it, sale, starts_at=0)
    sale.win(it.customer())
    expect(it, sale, "too-late", "before the start", starts_at=now + 5000_000)
    expect(it, sale, "too-late", "before the start", description="too late")
    expect(it, sale, "too-late", "before the start", price=8)
    expect(it, sale, "not-ended", state="archived")
    expect(it, sale, ends_at=now_ms() + 700)
    pause(0.8, "the sale ends by time")
    sale.claim(it.customer()).expect(410, "ended")
    for change in ({"state": "open"}, {"state": "paused"}, {"ends_at": 0}):
        expect(it, sale, "too-late", **change)
    same(expect(it, sale, state="ended").state, "open", "state in MySQL of a sale that is over by time")
    settle(it, sale)


@case("the end is moved in time, also of a segment that thinks it is over; If-Match is compared in the transaction")
def moved(it):
    sale = it.sale(amount=10, segments=2, ends_at=rfc3339(now_ms() + 60_000))
    it.redis("HSET", sale.key("s", 0), "state", "ended")  # its server's clock is ahead
    said = expect(it, sale, ends_at=0)
    everywhere(it, sale, said.version, "open", 0, fields=("version", "state", "t1"))
    tag = f'"{said.version}-10-0"'
    expect(it, sale, "precondition-failed", if_match='"0-10-0"', state="paused")
    expect(it, sale, "precondition-failed", if_match="W/" + tag, state="paused")
    expect(it, sale, if_match=f'"x" , {tag}', state="paused")
    expect(it, sale, "precondition-failed", if_match=tag, state="open")
    expect(it, sale, if_match="*", state="open")
    settle(it, sale)


@case("units are withdrawn from the hub and all segments while customers claim: never more than are unsold, and all that are")
def withdrawn(it):
    sale = it.sale(amount=2000, segments=8)
    same(expect(it, sale, withdraw=50)[4:8], (50, 50, 0, True), "fifty from the hub")
    with Crowd(it, sale, users=300) as crowd:
        said = expect(it, sale, withdraw=1000)
        same(said[4:8], (1050, 1050, 0, True), "a thousand while customers claim")
        until(lambda: len(crowd.answers) > 400, 10, "claims go on")
    sale.drained()
    left = 950 - len(sale.rows())
    said = expect(it, sale, withdraw=1000)
    same(said[4:8], (1050 + left, 2050, 1000 - left, True), "all that is left")
    sale.claim(it.customer()).expect(410, "sold-out")
    it.ask("PATCH", sale.path + "/stock", sale.seller, {"add": 3}).expect(200)
    for _ in range(3):
        sale.win(it.customer())
    sale.claim(it.customer()).expect(410, "sold-out")
    settle(it, sale)


@case("units that were granted and never arrived are withdrawn, too")
def in_flight(it):
    sale = it.sale(amount=20, segments=2)
    it.redis("HINCRBY", sale.key("hub"), "G1", 1)
    it.redis("HINCRBY", sale.key("hub"), "avail", -1)
    same(expect(it, sale, withdraw=30)[4:8], (20, 30, 10, True), "withdrawn")
    settle(it, sale)


@case("MySQL restored from before a change, or a Redis that lost one: the higher version wins")
def restored(it):
    sale = it.sale(amount=10, segments=2)
    version = expect(it, sale, state="paused").version
    it.sql(f"UPDATE coupons SET state = 0, state_version = 0 WHERE id = {sale.id}")
    same(expect(it, sale, withdraw=2)[1:3], ("paused", version), "settings, taken over from the hub")
    it.sql(f"UPDATE coupons SET withdrawn = 0, withdraw_asked = 0, withdraw_missed = 0 WHERE id = {sale.id}")
    same(expect(it, sale, withdraw=1)[4:6], (3, 3), "withdrawn")
    for key in (sale.key("hub"), sale.key("s", 1)):  # both lost the pause with their server
        it.redis("HSET", key, "version", 0, "state", "open", "fence", "2:1@")
    it.redis("SADD", "sk:doubt", f"{sale.id}:2")
    until(lambda: set(slots(it, sale, "version", "state")) == {(str(version), "paused")}, 10, "they have it again")
    sale.claim(it.customer()).expect(409, "paused")
    settle(it, sale)


@case("a paused sale stays paused through a restart of Redis and a recovery")
def kept(it):
    sale = it.sale(amount=10, segments=2)
    version = expect(it, sale, state="paused").version
    kill(it.pids("redis"))
    it.redis.close()
    it.dev("start", "redis")
    until(lambda: sale.claim(it.customer()).code == "paused", 15, "the sale is there, and paused")
    it.redis("HSET", sale.key("s", 0), "version", 0, "state", "open")
    done = it.ctl("recover", sale.title)
    same(done.returncode, 0, done.stdout + done.stderr)
    everywhere(it, sale, version, "paused")
    expect(it, sale, state="open")
    sale.win(it.customer())
    settle(it, sale)


@case("an ended sale is archived once its orders are finished: its slots leave Redis, its name stays taken")
def archived(it):
    sale = it.sale(amount=10, segments=2, pay_within=600)
    user = it.customer()
    order = sale.win(user)
    sale.drained()
    expect(it, sale, state="ended")
    expect(it, sale, "unfinished", "payment", state="archived")
    cancel(it, order)
    settled(it, sale)
    same(expect(it, sale, state="archived")[1::6], ("archived", True), "settings")
    same([k for k in it.redis.keys() if f"{{{sale.id}:" in k], [], "keys of the sale")
    same(expect(it, sale, state="archived").state, "archived", "once more")
    expect(it, sale, "too-late", "archived", state="open")
    expect(it, sale, "too-late", "archived", withdraw=1)
    it.sql(f"UPDATE coupons SET hub_told = 0 WHERE id = {sale.id}; INSERT INTO returned_orders SELECT coupon_id, segment, seq, "
           f"user_id, unit FROM orders WHERE coupon_id = {sale.id}")  # as if its seller had cancelled an order since
    settled(it, sale)
    same(it.ask("GET", f"/api/orders/{order}", user).expect(200).json["status"], "cancelled", "order")


if __name__ == "__main__":
    main()
