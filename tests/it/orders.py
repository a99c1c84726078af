#!/usr/bin/env -S python3 -B
"""What a sale asks for its units, and what its customers and its seller read of the orders."""

from harness import main
from tap import case, every, same

CHECKOUT = "https://shop.example/pay?order={order}"
PRICED = {"price": 500, "currency": "EUR", "pay_within": 900, "checkout_url": CHECKOUT}
TERMS = ("price", "currency", "pay_within", "checkout_url")


def terms(sale):
    return {name: value for name, value in sale.read().items() if name in TERMS}


@case("the page of a sale has what a unit costs and where it is paid, also when Redis has lost its descriptor")
def shown_terms(it):
    for more, wanted in ((PRICED, PRICED), ({}, {"price": 0}),
                         ({"pay_within": 60, "late_payment": False}, {"price": 0, "pay_within": 60}),
                         ({"price": 7, "currency": "JPY"}, {"price": 7, "currency": "JPY"})):
        sale = it.sale(**more)
        same(terms(sale), wanted, f"terms of {more}")
        it.redis("DEL", sale.key("d"))
        it.restart("hot")
        same(terms(sale), wanted, f"terms of {more}, read from MySQL")
        sale.audit()


@case("a creation that is repeated is the same one only if it asks the same for a unit")
def repeated_terms(it):
    seller = it.seller()
    sale = it.sale(seller, **PRICED)
    body = {"name": sale.name, "amount": 10, "stock": 100, "description": "a coupon", "segments": 1}

    def unfinished():
        it.sql(f"UPDATE coupons SET published = 0 WHERE id = {sale.id}")

    def refused(**more):
        unfinished()
        it.ask("POST", seller.path + "/coupons", seller, body | PRICED | more).expect(400, "duplicate-coupon")
    for other in ({"price": 501}, {"currency": "USD"}, {"pay_within": 901}, {"checkout_url": CHECKOUT + "x"},
                  {"checkout_url": None}, {"late_payment": False}):
        refused(**other)
    unfinished()
    it.ask("POST", seller.path + "/coupons", seller, body | PRICED | {"late_payment": True}).expect(201)


@case("the descriptor of an earlier version, which has no price, is read; the audit misses what it lacks")
def earlier_descriptors(it):
    fields = ("price", "currency", "checkout", "late")
    plain, priced = it.sale(), it.sale(**PRICED | {"late_payment": False})
    for sale in (plain, priced):
        it.redis("HDEL", sale.key("d"), *fields)
    it.restart("hot")
    same(terms(plain), {"price": 0}, "terms of a plain sale")
    plain.win(it.customer())
    plain.drained()
    plain.audit()
    done = it.ctl("audit", priced.title)
    assert done.returncode and "descriptor" in done.stdout, done

    def differs(field, value):
        it.redis("HSET", sale.key("d"), field, value)
        assert "descriptor" in it.ctl("audit", sale.title).stdout, f"{field} = {value}"
        it.redis("HDEL", sale.key("d"), field)
        sale.audit()
    sale = plain
    every([("price", "1"), ("currency", "EUR"), ("checkout", CHECKOUT), ("late", "0"), ("price", "x"), ("price", "-1"),
           ("currency", "EURO"), ("checkout", "javascript:{order}")], differs)


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1)
