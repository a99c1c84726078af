#!/usr/bin/env -S python3 -B
"""What an operator runs and reads: help, arguments, servers that are away or refuse, the log, the load of idle drainers."""

import json
import re
import signal
import subprocess
import time

from harness import BUILD, main
from storm import Paused, kill, steady
from tap import case, comment, every, pause, same, until

COMMANDS = ("migrate", "config", "routes", "check", "status", "audit", "dead", "recover", "rebuild", "token")


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


@case("after -- no argument is an option: names may begin with a dash")
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


def wrong(it):
    file = it.run / "tmp/wrong.password"
    file.touch(0o600)
    file.write_text("not the password\n")
    return file


# setting: the line of check, and its text
REFUSALS = {"mysql_password_file": ("mysql", "refused: MySQL error 1045: Access denied"),
            "redis_password_file": ("redis", "refused: .*: WRONGPASS"),
            "redis_user=nobody": ("redis", "refused: .*: WRONGPASS"),
            "redis_user=": ("redis", "refused: .*: WRONGPASS"), "mysql_user=nobody": ("mysql", "refused: MySQL error 1045"),
            "mysql_database=nothing": ("mysql", "refused: MySQL error 10"),
            "mysql_socket=/nowhere": ("mysql", "away: MySQL error 2002"),
            "redis=unix:/nowhere": ("redis", "away: unix:/nowhere: No such file"),
            "redis=tcp:127.0.0.1:1": ("redis", "away: 127.0.0.1:1: Connection refused")}


@case("check distinguishes a server that refuses the account from one that is away, and quotes it")
def check_refused(it):
    def check(setting):
        setting, (part, said) = setting if "=" in setting else f"{setting}={wrong(it)}", REFUSALS[setting]
        for words in (("check",), ("--json", "check")):
            done = it.ctl("-s", setting, *words)
            same((done.returncode, done.stderr), (2, ""), "exit and errors")
            texts = json.loads(done.stdout) if words[0] == "--json" else dict(
                re.split(" +", line, maxsplit=1) for line in done.stdout.splitlines())
            assert re.match(said, texts[part]), texts
            same(texts["mysql" if part == "redis" else "redis"], "ok", "the other server")
    every(list(REFUSALS), check)


@case("a program whose login is refused logs that at its start, not that the server is away")
def start_refused(it):
    def start(program, setting, event):
        words = [BUILD / program, "-c", it.run / "drain.conf", "-s", f"{setting}={wrong(it)}"]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=it.environment) as process:
            lines = []
            for line in process.stderr:
                lines.append(line)
                if " started " in line:
                    break
            process.send_signal(signal.SIGTERM)
            same(process.wait(timeout=10), 0, "exit")
        found = [line for line in lines if f" error {event} " in line]
        assert found and "away" not in "".join(lines), lines
    every([("seckill-orderd", "mysql_password_file", "refused_at_start"),
           ("seckill-orderd", "redis_password_file", "refused_at_start"),
           ("seckill-orderd", "redis_password_file", "redis_login_refused")], start)


@case("/readyz names the server that refuses the service, and leaves the details to the log")
def readyz_refused(it):
    def refused(part, server, said):
        file, log = it.run / "etc" / part, it.run / "log/cold.log"
        password, start = file.read_text(), log.stat().st_size
        try:
            file.write_text("not the password\n")
            kill(it.workers("cold"))
            detail = f"{server} refuses the account of the service"
            until(lambda: detail in it.ask("GET", "/readyz").body.decode(), 10, "it is not ready")
            answer = it.ask("GET", "/readyz").expect(503)
            assert "away" not in answer.json["detail"] and "denied" not in answer.json["detail"], answer.json
            assert said in log.read_text()[start:], "nothing in the log"
        finally:
            file.write_text(password)
            kill(it.workers("cold"))
        until(lambda: it.ask("GET", "/readyz").status == 200, 10, "ready again")
    every([("mysql.password", "MySQL", "1045"), ("redis.password", "Redis", "WRONGPASS")], refused)


@case("check works with the drainers' account, and names the right that is missing for the schema's version")
def check_drain(it):
    def check():
        return it.ctl("-c", it.run / "drain.conf", "check")
    alone = "ok: an acknowledged claim is on its master's disk; claims do not wait for replicas"
    lines = ["redis    ok", f"replicas {alone}", "mysql    ok", "schema   ok", "layout   ok", "account  ok for drainers",
             "board    ok", "marks    ok"]
    same((check().returncode, check().stdout.splitlines()), (0, lines), "exit and output")
    it.sql("REVOKE SELECT ON schema_migrations FROM seckill_drain@localhost")
    try:
        done = check()
        same(done.returncode, 1, "exit")
        assert re.search(r"^schema .*error 1142: SELECT command denied .*grants\.sql$", done.stdout, re.M), done.stdout
    finally:
        it.sql("GRANT SELECT ON schema_migrations TO seckill_drain@localhost")
    same(check().returncode, 0, "exit")


@case("while one server is away status shows the numbers of the other, and names the one that is away")
def status_half(it):
    sale, users = it.sale(amount=20, segments=3), it.users(5)
    for user in users[:3]:
        sale.win(user)
    sale.drained()

    def status(*words):
        done = it.ctl("status", *words)
        same(done.returncode, 2, "exit")
        shown = json.loads(it.ctl("--json", "status", *words).stdout)
        assert done.stdout.splitlines()[-1].startswith("scripts per winning claim: "), done.stdout
        assert shown["host"]["claims"]["won"] > 0, shown
        return done, shown

    def coupon(shown):
        return next(c for c in shown["coupons"] if c["id"] == sale.id)
    it.dev("stop", "mysql", "-9")
    try:
        for user in users[3:]:
            sale.win(user)
        for words in ((), (sale.title,)):
            done, shown = status(*words)
            assert done.stderr.startswith("seckillctl status: MySQL is away: MySQL error 2002"), done.stderr
            same((shown["redis"], shown["mysql"][:5]), ("ok", "away:"), "the servers")
            same(coupon(shown) | {"hub": 0},
                 {"seller": sale.seller.name, "name": sale.name, "id": sale.id, "segments": 3, "amount": 20, "cancelled": 0,
                  "hub": 0, "sold": 5, "queued": 2}, "the coupon")
            assert f"{sale.title}: id {sale.id}, segments 3, amount 20," in done.stdout, done.stdout
        done = it.ctl("status", "nobody/nothing")
        same((done.returncode, "no such coupon" in done.stderr), (2, True), "a coupon that is not there")
    finally:
        it.dev("start", "mysql")
    sale.drained()
    it.dev("stop", "redis")
    it.redis.close()
    try:
        for words in ((), (sale.title,)):
            done, shown = status(*words)
            assert done.stderr.startswith("seckillctl status: Redis is away: unix:"), done.stderr
            same((shown["redis"][:5], shown["mysql"]), ("away:", "ok"), "the servers")
            same(coupon(shown), {"seller": sale.seller.name, "name": sale.name, "id": sale.id, "segments": 3, "amount": 20,
                                 "cancelled": 0, "rows": 5, "dead_letters": 0}, "the coupon")
    finally:
        it.dev("start", "redis")
    steady(it, sale)
    done = it.ctl("-s", f"mysql_password_file={wrong(it)}", "status")
    same((done.returncode, "MySQL is refused: MySQL error 1045" in done.stderr), (2, True), "with a wrong password")
    shown = json.loads(it.ctl("--json", "status").stdout)
    same((shown["redis"], shown["mysql"]), ("ok", "ok"), "the servers")


@case("a command whose account lacks a right names it and what to run it with, and changes nothing")
def wrong_account(it):
    sale, user = it.sale(amount=3, segments=1), it.customer()
    sale.win(user)
    sale.drained()
    before = it.sql(f"SELECT generation FROM coupons WHERE id = {sale.id}")
    done = it.ctl("recover", sale.title, "-c", it.run)  # flags come before the command
    same(done.returncode, 64, "exit of a flag behind the command")

    def as_workers(*words):
        return subprocess.run([BUILD / "seckillctl", "-c", it.run / "seckill.conf", *map(str, words)], text=True,
                              capture_output=True, timeout=60, env=it.environment)
    done = as_workers("recover", sale.title)
    same((done.returncode, done.stdout), (1, ""), "exit and output")
    assert re.fullmatch(r"seckillctl recover: MySQL error 114\d: UPDATE command denied .*drainers' settings.*\n",
                        done.stderr), done.stderr
    same(it.sql(f"SELECT generation FROM coupons WHERE id = {sale.id}"), before, "the generation")
    done = it.ctl("-s", "redis=unix:/nowhere", "recover", sale.title)
    same((done.returncode, done.stdout), (69, ""), "exit and output without Redis")
    assert done.stderr.startswith(f"seckillctl recover: coupon {sale.id}: redis_away: "), done.stderr
    until(lambda: it.ctl("recover", sale.title).returncode == 0, 10, "it is recovered")
    same(sale.claim(user).status, 200, "the sale goes on")
    it.sql("INSERT INTO dead_letters (coupon_id, segment, seq, record, digest, reason, at_ms) VALUES "
           f"({sale.id}, 0, 1, '1|{user.id}|1', REPEAT('x', 32), 'test', 1)")
    letter = it.sql(f"SELECT id FROM dead_letters WHERE coupon_id = {sale.id}")[0][0]
    done = as_workers("dead", "drop", letter, "--reason", "test")
    same(done.returncode, 2, "exit")
    assert re.search(r"error MySQL error 114\d: UPDATE command denied", done.stdout), done.stdout
    it.sql(f"DELETE FROM dead_letters WHERE id = {letter}")
    sale.audit()


@case("a recovery that finds two hundred lost orders prints its table, not a line for each")
def quiet_recovery(it):
    sale, users = it.sale(amount=200, segments=1), it.users(200)
    with Paused(it):
        sale.rush(users, connections=8)
        it.redis("DEL", sale.key("q", 0), sale.key("o", 0))
        done = it.ctl("recover", sale.title)
    same((done.returncode, done.stderr), (0, ""), "exit and errors")
    assert re.search(r"numbers given out and lost, customers not known +200\n", done.stdout), done.stdout
    assert len(done.stdout.splitlines()) < 12, done.stdout
    it.sql(f"UPDATE dead_letters SET state = 2, end_reason = 'test' WHERE coupon_id = {sale.id}")


def calls(it, *commands):
    """How many of these commands Redis has run; without arguments, of all."""
    counts = re.findall(r"cmdstat_(\S+?):calls=(\d+)", it.redis("INFO", "commandstats"))
    return sum(int(n) for name, n in counts if not commands or name in commands)


@case("a lasting condition is logged once by each drainer, not in every pass")
def standing_conditions(it):
    sale, user, log = it.sale(amount=10, segments=1), it.customer(), it.run / "log/drain.log"
    start = log.stat().st_size
    it.redis("RPUSH", sale.key("q", 0), f"7|{user.id}|1700000000000")
    it.redis("SADD", "sk:dirty", f"{sale.id}:1")

    def lines():
        return [line for line in log.read_text()[start:].splitlines() if f" coupon={sale.id} " in line and " drain_gap " in line]
    try:
        until(lines, 10, "the gap is logged")
        before = calls(it, "lrange")
        until(lambda: calls(it, "lrange") > before + 40, 30, "forty passes")
    finally:
        it.redis("DEL", sale.key("q", 0))
    found = [line.split(" pid=")[1].split()[0] for line in lines()]
    same(len(found), len(set(found)), f"lines of the drainers {found}: written, and drainers")


@case("an order whose coupon is not in sk:dirty is drained all the same")
def lost_hint(it):
    sale, user = it.sale(amount=10, segments=4), it.customer()
    with Paused(it):
        sale.win(user)
        same(it.redis("SREM", "sk:dirty", f"{sale.id}:4"), 1, "hints")
    sale.drained(30)
    sale.audit()


@case("one coupon whose orders cannot be moved keeps no other coupon in sk:dirty")
def stuck(it):
    sale, others, user = it.sale(amount=10, segments=1), [it.sale(amount=10, segments=4) for _ in range(5)], it.customer()
    log = it.run / "log/drain.log"
    with Paused(it):
        it.sql(f"UPDATE coupons SET published = 0, sold = amount WHERE id = {sale.id}")
        for one in (sale, *others):
            one.win(user)
        start = log.stat().st_size
    try:
        until(lambda: f"coupon={sale.id} " in log.read_text()[start:], 10, "its batch is refused")
        until(lambda: it.redis("SMEMBERS", "sk:dirty") == [f"{sale.id}:1"], 10, "the others are drained and removed")
        pause(1, "the drainers go on")
        same(it.redis("SMEMBERS", "sk:dirty"), [f"{sale.id}:1"], "coupons to drain")
    finally:
        it.sql(f"UPDATE coupons SET published = 1, sold = 0 WHERE id = {sale.id}")
    sale.drained()
    sale.audit()


@case("the slots of a coupon are inspected although nobody asks for it")
def lost_doubt(it):
    sale = it.sale(amount=10, segments=2)
    for key in (sale.key("hub"), sale.key("s", 1)):
        sound = it.redis("HGET", key, "fence")
        it.redis("HSET", key, "fence", sound[:-16] + 16 * "0")
        until(lambda: it.redis("HGET", key, "fence") == sound, 30, f"{key} is sound again")
    sale.win(it.customer())


@case("while MySQL is away status shows every sale and all its orders, although large sales are read at a pace")
def status_of_large_sales(it):
    sales, user = [it.sale(amount=256, segments=256) for _ in range(6)], it.customer()
    it.dev("stop", "mysql", "-9")
    try:
        for sale in sales:
            sale.win(user)
        shown = json.loads(it.ctl("--json", "status").stdout)["coupons"]
    finally:
        it.dev("start", "mysql")
    queued = {c["id"]: c["queued"] for c in shown}
    same({sale.id: queued.get(sale.id) for sale in sales}, {sale.id: 1 for sale in sales}, "orders on lists")
    for sale in sales:
        sale.drained()


FEW, MANY, WATCHED_S = 5, 150, 5
MOST = 350  # commands a second of all programs: two drainers send some 100 each at most, however many coupons there are


@case("idle programs send Redis few commands, however many coupons are on sale")
def idle(it):
    def watch():
        before, began = calls(it), time.monotonic()
        pause(WATCHED_S, "the measured period")
        return (calls(it) - before) / (time.monotonic() - began)

    def rate(what):
        """Once the rounds at full speed are over, which follow a restart, or MySQL's return in the case before."""
        until(lambda: it.redis("SCARD", "sk:dirty") == 0, 20, "all is drained")
        seen = []
        while not seen or seen[-1] >= MOST and len(seen) < 5:
            seen.append(watch())
        comment(f"{seen[-1]:.0f} commands a second with {what}; before: {seen[:-1]}")
        return seen[-1]
    def publish(count, segments):
        return [it.sale(seller=seller, amount=256, segments=segments) for _ in range(count)]
    seller = it.seller()
    it.redis("CONFIG", "SET", "appendfsync", "no")  # to create them in seconds
    found = [rate(f"{len(publish(FEW, 16))} coupons of 16 segments, besides those of earlier cases")]
    found.append(rate(f"{len(publish(2 * MANY, 1))} coupons of 1 segment, too"))
    it.many = publish(MANY, 256)
    found.append(rate(f"{MANY} coupons of 256 segments, too"))
    it.redis("CONFIG", "SET", "appendfsync", "always")
    assert max(found) < MOST, f"{found} commands a second, not {MOST}"


@case("after a restart of Redis the drainers inspect every coupon at once: none stays suspect, no order stays on its list")
def sweep_after_restart(it):
    sale, user = it.many[-1], it.customer()
    with Paused(it):
        order = sale.win(user)
        it.redis("SREM", "sk:dirty", f"{sale.id}:256")
        it.dev("stop", "redis")
        it.redis.close()
        it.dev("start", "redis")
    steady(it, sale, 20)
    sale.drained(40)  # a round at the usual pace of the sweep would take minutes
    same(sale.rows(), {order: user.id}, "orders")


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1)
