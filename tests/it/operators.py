#!/usr/bin/env -S python3 -B
"""What an operator runs and reads: help, words that look like options, servers that are away or refuse, the log, idle cost."""

import re

from harness import main
from tap import case, every, same, until


def calls(it, *commands):
    """How often Redis has run these commands; without any, all of them."""
    counts = re.findall(r"cmdstat_(\S+?):calls=(\d+)", it.redis("INFO", "commandstats"))
    return sum(int(n) for name, n in counts if not commands or name in commands)


@case("what lasts is logged once by each drainer, not in every pass")
def standing_conditions(it):
    sale, user, log = it.sale(amount=10, segments=1), it.customer(), it.run / "log/drain.log"
    start = log.stat().st_size
    it.redis("RPUSH", sale.key("q", 0), f"7|{user.id}|1700000000000")
    it.redis("SADD", "sk:dirty", f"{sale.id}:1")

    def lines():
        return [line for line in log.read_text()[start:].splitlines() if " drain_gap " in line and f"coupon={sale.id} " in line]
    try:
        until(lines, 10, "the gap is logged")
        before = calls(it, "lrange")
        until(lambda: calls(it, "lrange") > before + 40, 30, "forty passes")
    finally:
        it.redis("DEL", sale.key("q", 0))
    found = [line.split(" pid=")[1].split()[0] for line in lines()]
    same(len(found), len(set(found)), f"lines of the drainers {found}: written, and drainers")


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1)
