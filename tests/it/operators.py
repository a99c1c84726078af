#!/usr/bin/env -S python3 -B
"""What an operator runs and reads: help, words that look like options, servers that are away or refuse, the log, idle cost."""

import re
import subprocess

from harness import BUILD, main
from tap import case, every, same, until

COMMANDS = ("migrate", "config", "routes", "check", "status", "audit", "dead", "recover", "rebuild", "token", "load")


def run(it, *words):
    return subprocess.run([BUILD / words[0], *map(str, words[1:])], capture_output=True, text=True, timeout=30,
                          env=it.environment, stdin=subprocess.DEVNULL)


@case("--help, -h, --version and -V succeed on standard output, for every program and every command, whatever the settings")
def help_and_version(it):
    programs = [("seckill-api",), ("seckill-orderd",), ("seckillctl",), ("seckillctl", "-c", "/nowhere")]

    def asks(*words):
        done = run(it, *words)
        same((done.returncode, done.stderr), (0, ""), "exit and errors")
        said = f"usage: {words[0]}" if words[-1] in ("-h", "--help") else f"{words[0]} "
        assert done.stdout.startswith(said) and "%" not in done.stdout, done.stdout
    every([(*words, flag) for words in programs for flag in ("-h", "--help", "-V", "--version")], asks)
    every([("seckillctl", command, flag) for command in COMMANDS for flag in ("-h", "--help", "-V", "--version")], asks)
    every([("seckill-api", "--nothing"), ("seckill-orderd", "--json"), ("seckillctl", "--nothing"), ("seckillctl", "nothing"),
           ("seckillctl", "check", "--nothing"), ("seckillctl", "audit", "-x"), ("seckillctl",)],
          lambda *words: same((run(it, *words).returncode, run(it, *words).stdout), (64, ""), "exit and output"))


@case("behind -- nothing is an option: names may begin with a dash")
def dashes(it):
    seller, buyer = it.account("-seller", "seller"), it.account("--json", "customer")
    sale = it.sale(seller=seller, name="--all")
    sale.win(buyer)
    sale.drained()
    same(it.ctl("audit", sale.title).returncode, 64, "exit of an audit of -seller/--all")
    for words in (("audit", "--", sale.title), ("--json", "audit", "--", sale.title), ("audit", "--json", "--", sale.title),
                  ("--", "audit", "--window", 10, "--", sale.title), ("status", "--", sale.title),
                  ("recover", "--", sale.title), ("rebuild", "--resell-unknown", "--", sale.title)):
        done = it.ctl(*words)
        same((done.returncode, done.stderr), (0, ""), str(words))
        assert "-seller" in done.stdout or "open again" in done.stdout, done.stdout
    tokens = it.ctl("token", "--", "--json", "-seller").stdout.splitlines()
    same([line.split("\t")[0] for line in tokens], ["--json", "-seller"], "whose tokens")
    same(it.ctl("dead", "--", "retry", "--all").returncode, 64, "exit of a retry of the letter --all")
    until(lambda: it.ctl("audit", "--", sale.title).returncode == 0, 5, "the audit is balanced")


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
