#!/usr/bin/env -S python3 -B
"""A sale is paused on a Redis Cluster, while its customers claim, its masters fail over and its hash slots move."""

import time

from clustered import main, nodes, on_cluster
from steerers import Crowd, everywhere, expect, slots
from tap import comment, pause, quick, same, until


def settle(it, sale):
    sale.drained(30)
    until(lambda: it.sql.number(f"SELECT state_told FROM coupons WHERE id = {sale.id}") == 1, 20, "all changes are done")
    sale.audit()


def stays_paused(it, sale, version):
    """Whoever asks wins nothing, however long the slots take to come back."""
    users = it.users(30)
    until(lambda: all(sale.claim(user).code == "paused" for user in users), 30, "the sale is paused everywhere")
    everywhere(it, sale, version, "paused")
    same([sale.claim(user).code for user in users], ["paused"] * 30, "answers")


@on_cluster("under load a sale is paused, resumed and ended: each within a second, and nobody wins after the answer")
def under_load(it):
    sale = it.sale(amount=100000, segments=12)
    with Crowd(it, sale, users=3000) as crowd:
        for state, code in (("paused", "paused"), ("open", None), ("ended", "ended")):
            began = time.monotonic()
            said = expect(it, sale, state=state)
            answered = time.monotonic()
            everywhere(it, sale, said.version, state)
            pause(0.4, "claims go on")
            if code:
                same(len(crowd.won_after(answered)), 0, "orders after the answer")
                same({a[2] for a in crowd.answers if a[0] > answered and a[1] >= 400}, {code}, "what the others are told")
            else:
                until(lambda: crowd.won_after(answered), 5, "customers win again")
            comment(f"{state}: {(answered - began) * 1000:.0f} ms")
            quick(answered - began, 1, state)
    settle(it, sale)


@on_cluster("a segment's master, then the hub's, is replaced by a replica that does not know of the pause: nobody wins")
def forgotten(it):
    sale = it.sale(amount=20000, segments=12)
    for master_of in (nodes.master_without_hub, nodes.hub_master):
        said = []
        with Crowd(it, sale, users=1000) as crowd:
            nodes.fall_back(master_of(sale), lambda: said.append(expect(it, sale, state="paused")))
            answered = time.monotonic()
            stays_paused(it, sale, said[0].version)
            same(len(crowd.won_after(answered)), 0, "orders after the failover")
        for node in list(nodes.lost):
            nodes.revive(node)
        until(lambda: expect_open(it, sale), 30, "the sale is resumed")
        until(lambda: sale.claim(it.customer()).status == 201, 20, "a customer wins")
    settle(it, sale)


def expect_open(it, sale):
    return it.ask("PATCH", sale.path + "/sale", sale.seller, {"state": "open"}).status == 200


@on_cluster("a master is away while the sale is paused: the answer is busy, and the drainers finish once it is back")
def away(it):
    sale = it.sale(amount=1000, segments=12)
    master = nodes.master_without_hub(sale)
    nodes.lost.add(master)
    master.kill()
    began = time.monotonic()
    answer = it.ask("PATCH", sale.path + "/sale", sale.seller, {"state": "paused"})
    comment(f"answered {answer.status} after {time.monotonic() - began:.1f} s")
    version = it.sql.number(f"SELECT state_version FROM coupons WHERE id = {sale.id}")
    if answer.status == 200:  # the replica was quick
        everywhere(it, sale, version, "paused")
    until(lambda: it.sql.number(f"SELECT state_told FROM coupons WHERE id = {sale.id}") == 1, 30, "the drainers finish")
    stays_paused(it, sale, version)
    it.ask("PATCH", sale.path + "/sale", sale.seller, {"state": "paused"}).expect(200)
    settle(it, sale)


@on_cluster("hash slots of the hub and of a segment move while the sale is paused and units are withdrawn")
def moved(it):
    sale = it.sale(amount=1000, segments=12)
    keys = {"hub": sale.key("hub"), "segment": sale.key("s", 3)}
    for part, key in keys.items():
        slot = nodes.slot(key)
        others = [n for n in nodes.masters() if n is not nodes.master_of(slot)]
        said = []
        def change():
            said.append(it.ask("PATCH", sale.path + "/sale", sale.seller, {"state": "paused", "withdraw": 100}).status)
        nodes.move(slot, others[0], while_half=change)
        comment(f"{part}: {said}")
        until(lambda: it.sql.number(f"SELECT state_told FROM coupons WHERE id = {sale.id}") == 1, 20, "the change is done")
        stays_paused(it, sale, slots(it, sale, "version")[0][0])
        until(lambda: expect_open(it, sale), 20, "the sale is resumed")
    row = it.sql(f"SELECT withdrawn, withdraw_asked, withdraw_missed FROM coupons WHERE id = {sale.id}")[0]
    same(row[0] == row[1] and row[2] == "0", True, f"withdrawn, asked, missed: {row}")
    sale.win(it.customer())
    settle(it, sale)


if __name__ == "__main__":
    main()
