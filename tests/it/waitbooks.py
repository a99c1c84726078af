#!/usr/bin/env -S python3 -B
"""What MySQL keeps of a waiting list, and how the list is completed after Redis has lost some of it."""

import json

from ended import cancel
from harness import main
from tap import case, same, until
from waiters import LEFT, PROMOTED, WAITS, becomes, in_line, join, leave, lose, place, promoted, queue, taken, whole

def order_of(it, sale):
    return [int(owner) for owner in it.redis("ZRANGE", sale.key("w"), 0, -1)]


@case("who waits, leaves, and is promoted is in MySQL, and once, though the journal is moved again")
def journal(it):
    sale, orders = taken(it, pay_within=600)
    users = it.users(4)
    in_line(it, sale, users)
    becomes(it, sale, dict.fromkeys(users, WAITS))
    records = it.sql(f"SELECT ticket, user_id, joined_at_ms FROM waiting_entries WHERE coupon_id = {sale.id}")
    leave(it, sale, users[1]).expect(204)
    cancel(it, next(iter(orders)))
    order = promoted(it, sale, users[0])
    sale.drained()
    becomes(it, sale, {users[0]: PROMOTED, users[1]: LEFT, users[2]: WAITS, users[3]: WAITS})
    for ticket, user, ms in records:
        it.redis("RPUSH", sale.key("j"), f"{ticket}|{user}|{ms}|w")
    it.redis("RPUSH", sale.key("j"), "rubbish")
    becomes(it, sale, {users[0]: PROMOTED, users[1]: LEFT, users[2]: WAITS, users[3]: WAITS})
    segment, number = order.split("-")[1:]
    ticket, = it.sql(f"SELECT promotion FROM orders WHERE coupon_id = {sale.id} AND segment = {segment} AND seq = {number}")[0]
    same(int(ticket), int(records[0][0]), "the ticket of the order")
    join(it, sale, users[1]).expect(201)
    becomes(it, sale, {users[0]: PROMOTED, users[1]: WAITS, users[2]: WAITS, users[3]: WAITS})


@case("a list that has lost entries gets them back in their places, before anybody is promoted")
def completed(it):
    sale, orders = taken(it, pay_within=600)
    orders, users = list(orders), it.users(6)
    in_line(it, sale, users)
    leave(it, sale, users[3]).expect(204)
    becomes(it, sale, {user: LEFT if user is users[3] else WAITS for user in users})
    lose(it, sale, users[0], users[2], users[5])
    whole(it, sale)
    waiting = [user for user in users if user is not users[3]]
    same(order_of(it, sale), [user.id for user in waiting], "the list")
    same(queue(it, sale), 5, "how many wait")
    for order in orders[:2]:
        cancel(it, order)
    for user in waiting[:2]:
        promoted(it, sale, user)
    same([place(it, sale, user).json["position"] for user in waiting[2:]], [1, 2, 3], "the others")
    sale.drained()
    becomes(it, sale, {user: PROMOTED if user in waiting[:2] else LEFT if user is users[3] else WAITS for user in users})


@case("entries that a stale copy brings back are removed; one that MySQL lacks gets its row")
def brought_back(it):
    sale, orders = taken(it, pay_within=600)
    users, stranger = it.users(3), it.customer()
    in_line(it, sale, users)
    becomes(it, sale, dict.fromkeys(users, WAITS))
    tickets = dict(it.sql(f"SELECT user_id, ticket FROM waiting_entries WHERE coupon_id = {sale.id}"))
    leave(it, sale, users[0]).expect(204)
    cancel(it, next(iter(orders)))
    promoted(it, sale, users[1])
    sale.drained()
    becomes(it, sale, {users[0]: LEFT, users[1]: PROMOTED, users[2]: WAITS})
    for user in users[:2]:
        it.redis("ZADD", sale.key("w"), tickets[str(user.id)], user.id)
    it.redis("ZADD", sale.key("w"), 77, stranger.id)
    it.redis("HSET", sale.key("hub"), "queue", 4)
    lose(it, sale)
    whole(it, sale)
    same(order_of(it, sale), [users[2].id, stranger.id], "the list")
    becomes(it, sale, {users[0]: LEFT, users[1]: PROMOTED, users[2]: WAITS, stranger: WAITS})
    same(join(it, sale, it.customer()).expect(201).json["position"], 3, "who joins then")


@case("the audit finds who is not on the list, and repairs it")
def audited(it):
    sale, _ = taken(it, pay_within=600)
    users = it.users(3)
    in_line(it, sale, users)
    becomes(it, sale, dict.fromkeys(users, WAITS))
    sale.audit()
    it.redis("ZREM", sale.key("w"), users[1].id)
    said = json.loads(it.ctl("--json", "audit", sale.title).stdout)[-1]
    same(sorted(f["kind"] for f in said["problems"]), ["not-listed", "queue"], "problems")
    it.ctl("audit", "--repair", "--yes", sale.title)
    whole(it, sale)
    same(order_of(it, sale), [user.id for user in users], "the list")
    sale.audit()


@case("a recovery keeps the list")
def recovered(it):
    sale, orders = taken(it, pay_within=600)
    users = it.users(3)
    in_line(it, sale, users)
    becomes(it, sale, dict.fromkeys(users, WAITS))
    it.redis("HSET", sale.key("hub"), f"P{sale.home(users[0])}", "")
    it.redis("HSET", sale.key("hub"), "fence", "2:0!quarantined")
    it.ctl("recover", sale.title)
    whole(it, sale)
    same(order_of(it, sale), [user.id for user in users], "the list")
    cancel(it, next(iter(orders)))
    promoted(it, sale, users[0])
    same([place(it, sale, user).json["position"] for user in users[1:]], [1, 2], "the others")
    sale.drained()
    sale.audit()


if __name__ == "__main__":
    main()
