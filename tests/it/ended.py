"""Orders that end: what the tests of their units' way back to the sale share."""

import threading
import time

from tap import pause, until

PAY_GRACE = {"SECKILL_PAY_GRACE_S": "0"}  # so that an expiry is as short as the shortest pay_within
WON, NOT_YET = (200, 201), ("sold-out", "all-held", "busy", "unavailable", "outcome-unknown", "already-claimed", "not-replicated")


def parts(order):
    return [int(part) for part in order.split("-")]


def cancel(it, order, actor=1):
    """The transaction of a cancellation, with nothing after it: its process was killed, or could not reach Redis. actor: 1 is
    its customer, 2 the seller."""
    coupon, segment, seq = parts(order)
    row = f"coupon_id = {coupon} AND segment = {segment} AND seq = {seq}"
    it.sql(f"START TRANSACTION; UPDATE orders SET status = 3 WHERE {row} AND status IN (1, 2, 5); "
           f"DELETE FROM unpaid_orders WHERE {row}; "
           f"INSERT INTO returned_orders SELECT coupon_id, segment, seq, user_id, unit FROM orders WHERE {row}; "
           "INSERT INTO order_events (coupon_id, segment, seq, at_ms, kind, actor) "
           f"VALUES ({coupon}, {segment}, {seq}, {int(time.time() * 1000)}, 2, {actor}); "
           f"UPDATE coupons SET sold = sold - 1, cancelled = cancelled + 1, hub_told = 0 WHERE id = {coupon}; COMMIT")


def statuses(it, sale):
    """How many orders the sale has in MySQL, by the number of their status."""
    rows = it.sql(f"SELECT status, COUNT(*) FROM orders WHERE coupon_id = {sale.id} GROUP BY status")
    return {int(status): int(count) for status, count in rows}


def unreleased(it, sale):
    return it.sql.number(f"SELECT COUNT(*) FROM returned_orders WHERE coupon_id = {sale.id}")


def settled(it, sale, seconds=10):
    """Waits until the drainers have nothing left to do for the sale's orders that ended."""
    until(lambda: not unreleased(it, sale) and it.sql.number(f"SELECT hub_told FROM coupons WHERE id = {sale.id}"),
          seconds, f"the units of {sale.title} are back")


def owner(it, sale, user, unit=1):
    return it.redis("HGET", sale.key("o", sale.home(user)), user.id if unit == 1 else f"{user.id}#{unit}")


class Chasing:
    """Customers who ask for a unit over and over, and how long after a moment each of them got one."""

    def __init__(self, it, sale, users, every=0.01):
        self.it, self.sale, self.every, self.orders, self.seconds, self.odd = it, sale, every, {}, [], []
        self.over, self.lock = False, threading.Lock()
        self.threads = [threading.Thread(target=self._ask, args=(user,), daemon=True) for user in users]
        self.began = time.monotonic()
        for thread in self.threads:
            thread.start()

    def _ask(self, user):
        client = self.it.new_client()
        while not self.over:
            answer = self.sale.claim(user, client)
            if answer.status in WON:
                with self.lock:
                    self.orders[user.id] = answer.json["order"]
                    self.seconds.append(time.monotonic() - self.began)
                break
            if answer.code not in NOT_YET:
                self.odd.append(answer)
            pause(self.every, "the pace of a customer")
        client.close()

    def wait(self, count, seconds=15):
        """Waits until so many have an order, then the others give up."""
        try:
            until(lambda: len(self.orders) >= count, seconds, f"{count} customers get a unit")
        finally:
            self.over = True
            for thread in self.threads:
                thread.join(20)
        assert not self.odd, self.odd[:3]
        return self.seconds
