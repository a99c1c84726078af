#!/usr/bin/env -S python3 -B
"""What customers are told of their orders while servers of the cluster lose some: no answer is about an order that is nowhere.

The programs are those with the points of src/host/fault.def (killpoints.py).
"""

import itertools
import json
import signal
import time

import faultpoints
from clustered import fence, list_of, main, nodes, on_cluster, wait_for_replicas
from killways import inspected_beside
from ledger import Ledger
from tap import comment, same, until

STALL_S = 3  # nginx asks another worker after 4


def owner_entry(sale, user):
    """The number of a customer's order, as its segment has it."""
    number = nodes("HGET", sale.key("o", sale.home(user)), user.id)
    return number and f"{sale.id}-{sale.home(user)}-{number}"


@on_cluster("a claim is repeated, and its server is replaced before the order is confirmed: no 200 for a missing order")
def confirmed_where_it_is(it):
    wait_for_replicas(it, 1)
    books = Ledger(it, amount=40, segments=4, customers=40)
    sale, master = books.sale, nodes.master_without_hub(books.sale)
    user = next(u for u in books.users if sale.home(u) in nodes.segments_of(sale, master))
    with nodes.behind(master) as replica:
        it.dev("stop", "drain")  # MySQL would bring the order back
        sale.claim(user).expect(503, "not-replicated")
        before, old = owner_entry(sale, user), fence(sale, sale.home(user))
        stalled = faultpoints.arm("claim_answered", f"stall={STALL_S}000")
        with it.asking("POST", sale.path + "/claims", user) as answers:
            until(stalled, 5, "a worker knows that the order is there, and stands still")
            began = time.monotonic()
            master.process.send_signal(signal.SIGSTOP)
            nodes.lost.add(master)
            replica.process.send_signal(signal.SIGCONT)
            nodes.lost.discard(replica)
            replica("CLUSTER", "FAILOVER", "TAKEOVER")
            until(lambda: replica in nodes.masters(), 10, "the others know of the takeover")
            master.process.send_signal(signal.SIGCONT)
            nodes.lost.discard(master)
            it.dev("start", "drain")
            nodes.until_whole()  # it would be confirmed, whatever arrives there
            until(lambda: fence(sale, sale.home(user)) != old, 10, "its segment was inspected")
            comment(f"replaced after {time.monotonic() - began:.1f} s of {STALL_S}")
            assert owner_entry(sale, user) != before, "the replica has the order"
    answer, there = answers[0], owner_entry(sale, user)
    comment(f"{before} was not confirmed; then: {answer.status} {answer.code}, and its segment has {there}")
    if answer.status in (200, 201):
        same(answer.json["order"], there, "the order that the customer was told, and what its segment has")
    books.told[user.id] = books.insist(user).json["order"]
    same(books.told[user.id], owner_entry(sale, user), "the order of the next answer")
    books.sells_the_rest()
    books.keeps()


@on_cluster("sold out, and a server comes back without orders that MySQL has: only losers are told \"sold out\"")
def no_winner_is_refused(it):
    wait_for_replicas(it, 0)
    books = Ledger(it, amount=60, segments=6, customers=260)
    sale, master = books.sale, nodes.master_without_hub(books.sale)
    home = nodes.segments_of(sale, master)

    def sell_out():
        books.sell(60)
        sale.claim(books.users[-1]).expect(410, "sold-out")
        sale.drained()
        it.dev("stop", "drain")
    nodes.fall_back(master, sell_out)
    winners = [u for u in books.users if u.id in books.told and sale.home(u) in home]
    losers = iter([u for u in books.users if u.id not in books.told and sale.home(u) not in home])
    assert winners and all(owner_entry(sale, u) is None for u in winners), "the replica has their orders"
    said = [sale.claim(u).code for u in itertools.islice(losers, 100)]  # so many that workers ask for the hub's word
    assert "sold-out" in said, said
    for user in winners:
        same(sale.claim(user).code, "busy", "what a winner is told while the segment is in doubt")
    it.dev("start", "drain")
    for user in winners:
        same(books.insist(user).expect(200).json["order"], books.told[user.id], "the order of a winner")
    for user in itertools.islice(losers, 40):
        same(books.insist(user).code, "sold-out", "what a loser is told")
    books.keeps()
    same(len(sale.rows()), 60, "orders in MySQL")


@on_cluster("an order that no replica confirmed is in no customer's list, and is queued to nobody when it is gone")
def listed_when_confirmed(it):
    wait_for_replicas(it, 1)
    books = Ledger(it, amount=24, segments=6, customers=60)
    sale, master = books.sale, nodes.master_without_hub(books.sale)
    home, unsure = nodes.segments_of(sale, master), []

    def ask():
        for user in [u for u in books.users if sale.home(u) in home][:4]:
            sale.claim(user).expect(503, "not-replicated")
            unsure.append(user)
        it.dev("stop", "drain")
    nodes.fall_back(master, ask)
    listed = {u: nodes("ZRANGE", list_of(u), 0, -1) for u in unsure}
    rows = set(sale.rows().values())  # of those who were quick enough to be drained
    same({u: orders for u, orders in listed.items() if orders and u.id not in rows}, {}, "lists of those who were told nothing")
    it.dev("start", "drain")
    nodes.revive(master)
    books.sell(24 - len(rows), homes=set(range(6)))
    for user in unsure:
        orders = it.ask("GET", user.path + "/orders", user).expect(200).json["data"]
        same([o["order"] for o in orders if o["status"] not in ("queued", "confirmed")], [], "orders that are not its")
        answer = books.insist(user)
        same([o["order"] for o in orders], [answer.json["order"]] if answer.status != 410 else [], "the orders of a customer")


def on_two_masters(it):
    """A sale of two segments on two masters, of which one has the hub, too."""
    for _ in range(50):
        books = Ledger(it, amount=24, segments=2, customers=1)
        master = next((n for n in nodes.masters() if nodes.segments_of(books.sale, n) == [0]), None)
        if master and nodes.hub_master(books.sale) is not master:
            books.users = it.users(160)
            return books, master
    raise AssertionError("no sale of fifty lies like that")


@on_cluster("sold out by orders that no replica confirmed, and their segment is rolled back: the units are sold again")
def unconfirmed_units(it):
    wait_for_replicas(it, 1)
    books, master = on_two_masters(it)
    sale = books.sale
    homes = {i: iter([u for u in books.users if sale.home(u) == i]) for i in range(2)}
    it.dev("stop", "drain")

    def sell_out():
        """Segment 0 first, of which nothing is confirmed, then segment 1: the hub has nothing left."""
        unsure = []
        while nodes("HGET", sale.key("s", 0), "left") != "0" or len(unsure) < 8:
            unsure.append(next(homes[0]))
            sale.claim(unsure[-1])
        for user in homes[1]:
            answer = books.insist(user)
            if answer.status == 410:
                break
            books.told[user.id] = answer.won()
        comment(f"{len(unsure)} claims of segment 0 are not confirmed, {len(books.told)} of segment 1 are, then {answer.code}")
    nodes.fall_back(master, sell_out)
    it.dev("start", "drain")
    nodes.revive(master)  # nothing is confirmed without a replica
    for user in homes[0]:
        if len(books.told) == sale.amount:
            break
        books.told[user.id] = books.insist(user).won()
    books.keeps()
    books.sells_the_rest()


def audited(it, sale, *kinds):
    """Orders of which the audit finds one of these."""
    said = json.loads(it.ctl("--json", "audit", sale.title).stdout)[0]
    return {f"{sale.id}-{p['segment']}-{p['sequence']}" for p in said["problems"] if p["kind"] in kinds}


@on_cluster("acknowledged orders that a failover has lost: each customer is told, and claims again; no number is given twice")
def lost_is_said(it):
    wait_for_replicas(it, 0)
    books = Ledger(it, amount=180, segments=6, customers=300)
    sale, master = books.sale, nodes.master_without_hub(books.sale)
    home = nodes.segments_of(sale, master)
    books.sell(30)
    sale.drained()
    it.dev("stop", "drain")
    before = {i: fence(sale, i) for i in home}
    nodes.fall_back(master, lambda: books.sell(25, homes=home))
    gone = [u for u in books.users if u.id in books.told and sale.home(u) in home
            and owner_entry(sale, u) != books.told[u.id]]
    told = [(u, books.told[u.id]) for u in gone]
    listed = [u for u in gone if nodes("ZSCORE", list_of(u), books.told[u.id])]
    comment(f"{len(gone)} orders are lost, of which {len(listed)} are in customers' lists")
    assert listed and len(listed) < len(gone), "both kinds are wanted"
    it.environment["SECKILL_MARKS"] = str(it.run / "other-marks")  # as another host, which was told none of them
    for user, order in told:
        answer = it.ask("GET", f"/api/orders/{order}", user)  # nobody has looked yet
        same(answer.json["status"] if answer.status == 200 else answer.code, "queued" if user in listed else "busy", f"{order} at first")
    it.dev("start", "drain")
    until(lambda: all(fence(sale, i) != before[i] for i in home), 10, "all segments are open")
    same(audited(it, sale, "lost-acknowledged"), {books.told[u.id] for u in listed}, "lost, by the lists of their customers")
    it.environment["SECKILL_MARKS"] = str(it.run / "marks")
    same(audited(it, sale, "lost-acknowledged", "lost-number"), {order for _, order in told}, "and by what this host was told")
    it.environment["SECKILL_MARKS"] = str(it.run / "other-marks")
    stranger, seller = it.customer(), sale.seller
    for user, order in told:
        answer = it.ask("GET", f"/api/orders/{order}", user)
        same(answer.expect(200).json["status"], "lost", f"status of {order}")
        assert "claim again" in answer.json["detail"], answer.json
        same(it.ask("GET", f"/api/orders/{order}", seller).expect(200).json["status"], "lost", "what the seller is told")
        if sale.home(stranger) != sale.home(user):
            it.ask("GET", f"/api/orders/{order}", stranger).expect(404, "no-such-order")
    for user in listed:
        orders = it.ask("GET", user.path + "/orders", user).expect(200).json["data"]
        same([(o["order"], o["status"]) for o in orders], [(books.told[user.id], "lost")], f"the orders of {user}")
    wanted = {(u, books.told[u.id]) for u in listed}

    def named():
        return {f"{sale.id}-{segment}-{seq}" for segment, seq, _ in books.dead()}
    until(lambda: named() >= {order for _, order in wanted}, 15, "dead letters name them")
    for user in gone:
        del books.told[user.id]
    books.sells_the_rest(held=held(books))
    for user in listed:
        answer = books.insist(user)
        if answer.status == 200:
            coupons = it.ask("GET", user.path + "/coupons", user).expect(200).json["data"]
            same([c["name"] for c in coupons], [sale.name], f"the coupons of {user}, who has two orders in the list")
    old = {order for _, order in told}
    same(old & set(sale.rows()), set(), "numbers that were given twice")
    letters = [f"{segment}-{seq}" for segment, seq, _ in books.dead()]
    same(len(letters), len(set(letters)), "dead letters, each of another number")
    for user, order in told:
        same(it.ask("GET", f"/api/orders/{order}", user).expect(200).json["status"], "lost", f"status of {order}, later")


@on_cluster("sales are inspected while recoveries of them stand still: nothing is opened, closed or recovered beside them")
def beside_recoveries(it):
    reopened, others = ["recover_closed", "recover_stored", "recover_rewritten"], ["recover_raised", "recover_drained", "recover_segment"]
    inspected_beside(it, reopened + others, nodes.masters(), reopened)


def held(books):
    """Units of numbers that are named lost."""
    return sum(reason.startswith("given out") for _, _, reason in books.dead())


if __name__ == "__main__":
    faultpoints.build()
    main(**faultpoints.SETTINGS)
