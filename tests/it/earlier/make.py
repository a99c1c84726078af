#!/usr/bin/env -S python3 -B
"""Makes the dumps of an earlier version that tests/it/upgrade.py loads. Run once, when a version has landed whose layout
the next one changes, with a checkout of it that is built:

    top_srcdir=OLD top_builddir=OLD/build tests/it/earlier/make.py tests/it/earlier/NAME

NAME/mysql.sql is the schema with all its rows, NAME/redis the files of the append-only log, NAME/told.json what the
customers were told. There are sales that are open, sold out and upcoming, orders on lists, and dead letters.
"""

import json
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import PASSWORD, Instance  # noqa: E402
from tap import until  # noqa: E402

FAR = "2065-01-24T05:20:00Z"


def sell(it, sale, users):
    """Their claims: what each was told, an order's number or why there is none."""
    answers = {user.name: sale.claim(user) for user in users}
    return {name: a.json["order"] if a.status < 300 else a.code for name, a in answers.items()}


def bury(it, sale, user):
    """The user's order meets a row that MySQL already has, and becomes a dead letter."""
    it.sql(f"INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
           f"VALUES ({sale.id}, 0, 900000, {user.id}, 1, 1, 1)")
    number = sale.win(user)
    until(lambda: it.sql.number("SELECT COUNT(*) FROM dead_letters WHERE seq IS NOT NULL"), 15, "a dead letter")
    it.sql(f"DELETE FROM orders WHERE coupon_id = {sale.id} AND seq = 900000")
    return number


def fill(it):
    seller, customers = it.account("shop", "seller"), it.users(40)
    it.account("anna", "customer")
    sale = it.sale(seller, "open", amount=60, segments=4)
    sold_out = it.sale(seller, "gone", amount=6, segments=2)
    it.sale(seller, "upcoming", amount=10, segments=2, starts_at=FAR)
    it.sale(seller, "untouched", amount=10, segments=3)
    paid = it.sale(seller, "paid", amount=8, segments=2, pay_within=3600)
    dead = {customers[39].name: bury(it, sale, customers[39])}
    it.redis("RPUSH", sale.key("q", 1), "no order")
    it.redis("SADD", "sk:dirty", f"{sale.id}:{sale.segments}")
    until(lambda: it.sql.number("SELECT COUNT(*) FROM dead_letters") == 2, 15, "a second dead letter")
    told = {"open": sell(it, sale, customers[:12]), "gone": sell(it, sold_out, customers[:3]), "paid": sell(it, paid, customers[:4])}
    until(lambda: (len(sale.rows()), len(sold_out.rows()), len(paid.rows())) == (12, 3, 4), 15, "rows")
    it.dev("stop", "drain")
    told["open"] |= sell(it, sale, customers[12:22])
    told["gone"] |= sell(it, sold_out, customers[3:9])
    told["paid"] |= sell(it, paid, customers[4:6])
    return {"told": told, "dead": dead, "password": PASSWORD,
            "users": {user.name: user.id for user in customers}, "queued": {"open": 10, "gone": 3}}


def dump(it, to):
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    sql = subprocess.run(["mariadb-dump", f"--defaults-file={it.run}/etc/mysql-owner.cnf", "--skip-comments", "--single-transaction",
                          "--hex-blob", "--no-tablespaces", "seckill"], check=True, capture_output=True).stdout
    lines = sql.splitlines(keepends=True)
    (to / "mysql.sql").write_bytes(b"".join(line for line in lines if b"enable the sandbox mode" not in line))
    it.dev("stop", "redis")
    shutil.copytree(it.run / "data/redis/appendonlydir", to / "redis/appendonlydir")


def main():
    it = Instance(SECKILL_PASSWORD_COST=1)
    try:
        it.start()
        told = fill(it)
        it.dev("stop", "nginx")
        dump(it, to := pathlib.Path(sys.argv[1]).resolve())
        (to / "told.json").write_text(json.dumps(told, indent=1) + "\n")
    finally:
        it.remove()


main()
