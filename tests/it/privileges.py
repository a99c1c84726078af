#!/usr/bin/env -S python3 -B
"""What the shipped setup gives away when a part of it is taken over: accounts, files, secrets."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import tempfile

from client import quote
from harness import BUILD, PARTS, SOURCE, main
from stores import Redis, RedisError, Sql, SqlError
from tap import Skip, case, every, same, until


def secrets(it):
    files = [path for path in (it.run / "etc").iterdir() if path.suffix in (".password", ".keys")]
    texts = [path.read_text().split()[-1].removeprefix("whsec_") for path in files]
    assert len(texts) >= 6 and all(len(text) == 64 for text in texts), texts
    return texts


@case("no secret is in a command line, an environment or a log, and no password or token in a log")
def secrets_stay(it):
    name, password = it.name("secretive"), "a very secret password"
    it.register(name, "customer", password).expect(201)
    token = it.log_in(name, password).expect(200).json["token"]
    it.log_in(name, password + "?").expect(401)
    it.ask("GET", f"/api/users/{name}/orders", authorization=token).expect(200)
    hidden = secrets(it) + [password, quote(password), token.split(".")[2]]
    places = {}
    for part in PARTS:
        for pid in it.pids(part):
            with contextlib.suppress(OSError):
                for file in ("cmdline", "environ"):
                    places[f"{file} of {part} {pid}"] = pathlib.Path(f"/proc/{pid}/{file}").read_bytes()
    places |= {path.name: path.read_bytes() for path in (it.run / "log").iterdir()}
    assert len(places) > 20, places.keys()
    same([where for where, text in places.items() for secret in hidden if secret.encode() in text], [], "secrets in")


@case("a program with secrets leaves no core file, and its own user cannot look into it")
def no_cores(it):
    nobody = 65534 if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="sk", dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        program = shutil.copy(BUILD / "seckill-orderd", folder)
        words = [program, "-s", "redis=unix:/nonexistent/redis", "-s", "mysql_socket=/nonexistent/mysql", "-s",
                 f"board={folder}/board"]

        def owner(words):
            """Whose /proc/PID is after a while: root's, once a process is not dumpable."""
            with subprocess.Popen(words, stderr=subprocess.DEVNULL, user=nobody, env={}) as process:
                with contextlib.suppress(AssertionError):
                    until(lambda: os.stat(f"/proc/{process.pid}/environ").st_uid == 0, 3, "it is root's")
                uid = os.stat(f"/proc/{process.pid}/environ").st_uid
                process.kill()
            return uid
        same(owner(words), 0, "owner of its /proc")
        same(owner(["sleep", "60"]), nobody or os.geteuid(), "owner of another program's /proc")


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@case("files: secrets for their owner alone, sockets behind a closed directory")
def modes(it):
    same(mode(it.run) & 0o027, 0, "open bits of the directory")
    for path in (it.run / "etc").iterdir():
        same((path.name, oct(mode(path) & 0o077)), (path.name, "0o0"), "open bits")
    for name in ("hot", "cold", "auth"):
        same(oct(mode(it.run / f"{name}.sock")), "0o660", f"mode of {name}.sock")
    same(mode(it.run / "redis.sock") & 0o007, 0, "open bits of redis.sock")


@case("a secret that others may read, that is missing or that is too short stops the start, and the message names it")
def bad_secrets(it):
    def start(program, *words, **settings):
        words = [BUILD / program, "-c", it.run / "seckill.conf", *words]
        for name, value in settings.items():
            words += ["-s", f"{name}={value}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, env=it.environment,
                              stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout + done.stderr
    copy = it.run / "tmp/copy.keys"
    copy.touch(0o600)
    copy.write_text((it.run / "etc/token.keys").read_text())
    programs = (("seckill-api", "-p", "hot"), ("seckill-api", "-p", "cold"), ("seckill-api", "-p", "auth"), ("seckill-orderd",))
    for words in programs:
        copy.chmod(0o600)
        same(start(*words, "-t", token_key_file=copy), (0, ""), "with a closed file")
        for bits in (0o604, 0o660, 0o644):
            copy.chmod(bits)
            for more in (("-t",), ()):
                code, said = start(*words, *more, token_key_file=copy)
                assert code == 78 and f"token_key_file: {copy} is open to others" in said, (words, oct(bits), code, said)
    copy.chmod(0o600)
    for text in ("", "k1\n", "k1 00ff\n", "k1 " + "0" * 62 + "\n", "k1 " + "x" * 64 + "\n",
                 "k1 " + "00" * 32 + "\nk1 " + "11" * 32):
        copy.write_text(text)
        code, said = start("seckill-api", "-p", "hot", token_key_file=copy)
        assert code == 78 and str(copy) in said and "00" * 31 not in said, (text, code, said)
    code, said = start("seckill-api", "-p", "hot", token_key_file="/nonexistent/keys")
    assert code == 78 and "/nonexistent/keys" in said, (code, said)


@case("token --out makes a new file for its owner alone; anything but a regular file is refused and stays")
def token_out(it):
    folder, user = it.run / "tmp/out", it.customer()
    folder.mkdir()
    path, other, link = folder / "tokens", folder / "other", folder / "link"

    def write(to, *words, wanted=0):
        done = it.ctl("token", "--out", to, *(words or [user.name]))
        same(done.returncode, wanted, f"exit: {done}")
        return done.stderr
    write(path)
    same((oct(mode(path)), path.read_text().split("\t")[0]), ("0o600", user.name), "a new file")

    path.write_text("readable by others\n")
    path.chmod(0o644)
    other.hardlink_to(path)
    with path.open() as before:  # whoever has it open already reads no token either
        write(path)
        same(before.read(), "readable by others\n", "what was open")
    same((oct(mode(path)), path.read_text().split("\t")[0]), ("0o600", user.name), "a file in its place")
    same((oct(mode(other)), other.read_text()), ("0o644", "readable by others\n"), "its other name")

    link.symlink_to(other)
    (folder / "dangling").symlink_to(folder / "nowhere")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    for name, reason in (("link", "symbolic link"), ("dangling", "symbolic link"), ("folder", "not a regular file"),
                         ("fifo", "not a regular file"), ("missing/tokens", "No such file")):
        said = write(folder / name, wanted=71)
        assert str(folder / name) in said and reason in said, said
    same((other.read_text(), (folder / "nowhere").exists()), ("readable by others\n", False), "where links point")

    path.write_text("kept\n")
    write(path, "--prefix", "x", wanted=64)
    write(path, "nobody of this name", wanted=1)
    same((path.read_text(), sorted(p.name for p in folder.iterdir())),
         ("kept\n", ["dangling", "fifo", "folder", "link", "other", "tokens"]), "after a failure")


def as_account(it, name):
    """MySQL as an account of the service has it."""
    file = it.run / f"tmp/{name}.cnf"
    file.touch(0o600)
    password = (it.run / ("etc/mysql-drain.password" if name.endswith("drain") else "etc/mysql.password")).read_text().strip()
    file.write_text(f"[client]\nsocket={it.run}/mysql.sock\nuser={name}\npassword={password}\n")
    return Sql(file)


KEPT = ("users", "coupons", "orders", "drain_cursors", "number_ranges", "dead_letters", "revocations", "order_events",
        "payments", "refunds", "schema_migrations")
TABLES = (*KEPT, "unpaid_orders", "returned_orders", "idempotency_keys", "waiting_entries")
NOBODY = [f"{what} {table}" for table in TABLES for what in ("TRUNCATE", "DROP TABLE", "ALTER TABLE")]
NOBODY = [f"{s} ADD x INT" if s.startswith("ALTER") else s for s in NOBODY] + [f"DELETE FROM {table}" for table in KEPT] + [
    "CREATE TABLE x (x INT)", "CREATE DATABASE x", "DROP DATABASE seckill", "CREATE USER x",
    "CREATE INDEX x ON orders (seq)",
    "CREATE VIEW x AS SELECT 1", "CREATE FUNCTION x () RETURNS INT RETURN 1",
    "CREATE TRIGGER x BEFORE INSERT ON orders FOR EACH ROW SET @x = 1",
    "SELECT 1 INTO OUTFILE '/tmp/x'", "LOAD DATA INFILE '/etc/passwd' INTO TABLE users", "LOCK TABLES users WRITE",
    "SELECT * FROM mysql.global_priv", "SET GLOBAL max_connections = 1",
    "SET GLOBAL innodb_flush_log_at_trx_commit = 0", "SHUTDOWN",
    "GRANT SELECT ON users TO seckill_drain@localhost", "SET PASSWORD FOR seckill_owner@localhost = ''",
    "UPDATE orders SET user_id = 2", "UPDATE orders SET pay_by_ms = 0", "UPDATE users SET kind = 2",
    "UPDATE coupons SET unit_limit = 9", "UPDATE coupons SET pay_within_s = 0", "UPDATE order_events SET kind = 1",
    "UPDATE payments SET amount = 0", "UPDATE payments SET payment_id = 'x'", "UPDATE refunds SET amount = 0",
    "UPDATE unpaid_orders SET pay_by_ms = 0", "UPDATE returned_orders SET user_id = 0",
    "UPDATE users SET name = 'x'",
    "UPDATE unpublished_coupons SET segments = 1", "INSERT INTO unpublished_coupons (segments) VALUES (1)",
    "UPDATE coupons SET seller_id = 1", "UPDATE coupons SET name = 'x'",
    "INSERT INTO schema_migrations (version, name) VALUES (9, 'x')"]
FORBIDDEN = {
    "seckill": NOBODY + ["INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) VALUES "
                         "(1, 1, 1, 1, 1, 1, 1)", "UPDATE drain_cursors SET next_number = 9", "UPDATE users SET id = 0",
                         "UPDATE coupons SET generation = 9", "UPDATE idempotency_keys SET answer = 'x'", "DELETE FROM waiting_entries",
                         "UPDATE coupons SET hub_term = 0", "INSERT INTO unpaid_orders VALUES (1, 1, 1, 1)", "DELETE FROM unpublished_coupons",
                         "INSERT INTO number_ranges (coupon_id, segment, base) VALUES (1, 1, 1)",
                         "UPDATE number_ranges SET count = 0",
                         "INSERT INTO drain_cursors (coupon_id, segment) VALUES (1, 1)",
                         "UPDATE revocations SET expires_at_s = 0"],
    "seckill_drain": [s for s in NOBODY if s != "DELETE FROM revocations"] + [
        "SELECT * FROM users", "SELECT password FROM users", "SELECT kind FROM users",
        "INSERT INTO users (name, kind, password) VALUES ('x', 1, 'x')", "UPDATE users SET password = 'x'",
        "INSERT INTO coupons (name) VALUES ('x')", "UPDATE coupons SET segments = 1",
        "INSERT INTO payments (payment_id) VALUES ('x')", "INSERT INTO refunds (refund_id) VALUES ('x')",
        "UPDATE payments SET refunded = 0", "UPDATE revocations SET expires_at_s = 0", "UPDATE coupons SET price = 0",
        "SELECT answer FROM idempotency_keys", "DELETE FROM waiting_entries"],
}


@case("MySQL's accounts of the service cannot delete, define, read files or do the work of another account")
def mysql_accounts(it):
    it.sale().win(it.customer())
    for account, statements in FORBIDDEN.items():
        sql = as_account(it, account)
        same(sql.number("SELECT COUNT(*) FROM coupons") > 0, True, "it may look at coupons")

        def denied(statement):
            try:
                said = sql(statement)
            except SqlError as problem:
                # 1044, 1142, 1143, 1227, 1370, 1698, ...: all say denied; not "no such table" or the like
                assert re.search(r"denied|[Cc]ommand.*is not allowed|not allowed to create",
                                 str(problem)), f"{account}: {problem}"
            else:
                raise AssertionError(f"{account} may: {said}")
        every(statements, denied)
        same(sql("SELECT LOAD_FILE('/etc/passwd') IS NULL"), [["1"]], "LOAD_FILE is NULL")
        file = it.run / "tmp/local.txt"
        file.write_text("1\n")
        with contextlib.suppress(SqlError):
            sql(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE users (name)")
            raise AssertionError(f"{account} may load a local file")


@contextlib.contextmanager
def without(it, right, account):
    """A right of an account is taken away for a while, by the owner of the schema."""
    it.sql(f"REVOKE {right} FROM {account}@localhost")
    try:
        yield
    finally:
        it.sql(f"GRANT {right} TO {account}@localhost")


def ready(it):
    answer = it.ask("GET", "/readyz")
    return answer.status, answer.json.get("detail", "")


def is_ready(it):
    until(lambda: ready(it)[0] == 200, 20, "ready again")


def names(it, *words):
    """/readyz comes to say 503, with these words in its detail."""
    def said():
        status, detail = ready(it)
        return status == 503 and all(word in detail for word in words)
    until(said, 20, f"/readyz names {words}")


@case("a drainer that runs with the workers' account says so: at error level, in /readyz and in its gauge")
def drainer_as_worker(it):
    is_ready(it)
    log = it.run / "log/wrong-drainer.log"
    with open(log, "w") as file, subprocess.Popen([BUILD / "seckill-orderd", "-c", it.run / "seckill.conf"], stderr=file,
                                                   env=it.environment, stdin=subprocess.DEVNULL) as wrong:
        try:
            until(lambda: " error account_refused " in log.read_text(), 20, "the log says it")
            line = next(line for line in log.read_text().splitlines() if "account_refused" in line)
            assert "seckill" in line and "denied" in line, line
            names(it, "drainers")
            assert "\nseckill_drain_denied 1\n" in it.ask("GET", "/metrics").body.decode()
        finally:
            wrong.terminate()
    is_ready(it)


@case("a drainer that loses a right reports it, and goes on by itself when it has it again")
def drainer_loses_right(it):
    sale, customer = it.sale(), it.customer()
    with without(it, "INSERT ON seckill.orders", "seckill_drain"):
        sale.win(customer)
        names(it, "drainers")
        log = (it.run / "log/drain.log").read_text()
        assert " error drain_failed " in log and " warn drain_failed " not in log, "drain_failed is no error"
    is_ready(it)
    until(lambda: it.sql.number(f"SELECT COUNT(*) FROM orders WHERE coupon_id = {sale.id}") == 1, 20, "the order in MySQL")


@case("/readyz names the right that the workers' account lacks")
def worker_loses_right(it):
    for right, word in (("INSERT ON seckill.users", "users"), ("UPDATE (published, amount) ON seckill.coupons", "coupons")):
        is_ready(it)
        with without(it, right, "seckill"):
            names(it, "workers", word)
    is_ready(it)


@case("seckillctl check says whose work the account may do")
def check_account(it):
    def account(file):
        done = subprocess.run([BUILD / "seckillctl", "-c", it.run / file, "--json", "check"], capture_output=True,
                              text=True, timeout=30, env=it.environment)
        return json.loads(done.stdout)["account"]
    same(account("seckill.conf"), "ok for workers", "the workers' settings")
    same(account("drain.conf"), "ok for drainers", "the drainers' settings")
    with without(it, "INSERT ON seckill.orders", "seckill_drain"):
        said = account("drain.conf")
        assert "denied" in said and "grants.sql" in said, said


@case("the accounts are made without touching anything else on the server")
def mysql_others(it):
    root = Sql(it.run / "tmp/root.cnf")
    (it.run / "tmp/root.cnf").write_text(f"[client]\nsocket={it.run}/mysql.sock\nuser=root\n")
    try:
        root("SELECT 1")
    except SqlError:
        raise Skip("only root is an administrator of this server") from None
    others = ["CREATE USER ''@localhost", "CREATE USER proxied@localhost", "CREATE USER proxy@'%'",
              "GRANT PROXY ON proxied@localhost TO proxy@'%'", "CREATE DATABASE other",
              "GRANT INSERT ON other.* TO seckill@localhost"]
    undo = ["DROP USER ''@localhost, proxied@localhost, proxy@'%'", "DROP DATABASE other",
            "REVOKE INSERT ON other.* FROM seckill@localhost"]

    def rights():
        tables = {table: root(f"SELECT * FROM mysql.{table} ORDER BY 1, 2, 3") for table in
                  ("global_priv", "db", "tables_priv", "columns_priv", "proxies_priv")}
        ours = [row for row in tables["global_priv"] if row[1].startswith("seckill")]  # they get their passwords anew
        tables["global_priv"] = [row[:2] if row in ours else row for row in tables["global_priv"]]
        return tables
    for statement in others:
        root(statement)
    try:
        before = rights()
        assert any("proxy" in row for row in before["proxies_priv"]), before
        text = (SOURCE / "docker/accounts.sql.in").read_text()
        for name, file in (("PASSWORD", "mysql"), ("DRAIN_PASSWORD", "mysql-drain"), ("OWNER_PASSWORD", "mysql-owner")):
            text = text.replace(f"@{name}@", (it.run / f"etc/{file}.password").read_text().strip())
        root(text)
        same(rights(), before, "rights")
    finally:
        for statement in undo:
            root(statement)


@case("nobody gets into MySQL without a password")
def mysql_anonymous(it):
    for user in ("", "seckill", "seckill_drain", "seckill_owner", "nobody"):
        words = ["mariadb", "--no-defaults", f"--socket={it.run}/mysql.sock", f"--user={user}", "-e", "SELECT 1"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, user=None, stdin=subprocess.DEVNULL)
        if user:
            assert done.returncode and "Access denied" in done.stderr, (user, done)


class As(Redis):
    """Redis as another user."""

    def __init__(self, it, user, password):
        super().__init__(str(it.run / "redis.sock"), password)
        self.user = user

    def _connect(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path)
            self.file = s.makefile("rwb")
        if self.user is not None:
            self("AUTH", self.user, self.password)


REDIS = ("FLUSHALL", "FLUSHDB", "KEYS *", "RANDOMKEY", "DBSIZE", "CONFIG SET appendfsync no",
         "CONFIG REWRITE", "CONFIG RESETSTAT",
         "DEBUG SLEEP 0", "DEBUG OBJECT x", "EVAL return(1) 0", "EVAL_RO return(1) 0", "FUNCTION LIST", "SCRIPT FLUSH",
         "SCRIPT KILL", "SAVE",
         "BGSAVE", "BGREWRITEAOF", "SHUTDOWN NOSAVE", "REPLICAOF 127.0.0.1 1", "FAILOVER", "CLUSTER RESET", "ACL LIST",
         "ACL GETUSER admin",
         "ACL SETUSER seckill +@all", "ACL LOAD", "CLIENT LIST", "CLIENT KILL TYPE normal", "CLIENT PAUSE 1000",
         "MONITOR", "MODULE LIST",
         "MODULE LOAD x", "SUBSCRIBE x", "PUBLISH x y", "RENAME sk:dirty sk:x", "RESTORE sk:x 0 x", "DUMP sk:dirty",
         "MIGRATE h 1 sk:dirty 0 1",
         "SWAPDB 0 1", "SORT sk:dirty", "OBJECT HELP", "SLOWLOG GET", "LATENCY RESET", "MULTI",
         "COPY sk:dirty sk:x",
         "GET other", "SET other 1", "DEL x", "HSET seckill a b", "GET sk", "ZADD s:live 1 x")


@case("Redis's user of the service cannot flush, list keys, configure, debug, run text as a script, or touch other keys")
def redis_user(it):
    password = (it.run / "etc/redis.password").read_text().strip()
    redis = As(it, "seckill", password)
    same(redis("PING"), "PONG", "PING")
    before = it.redis.keys()

    def denied(words):
        try:
            said = redis(*words.split(" "))
        except RedisError as problem:
            assert re.match("NOPERM|ERR (DEBUG|MODULE) command not allowed", str(problem)), problem
        else:
            raise AssertionError(f"{words} is let in: {said}")
    every(list(REDIS), denied)
    for body in ("redis.call('FLUSHALL')", "redis.call('KEYS', '*')", "redis.call('SET', 'other', 1)"):
        sha = redis("SCRIPT", "LOAD", "return " + body)
        try:
            redis("EVALSHA", sha, 0)
            raise AssertionError(f"a script may {body}")
        except RedisError as problem:
            assert re.search("NOPERM|ACL failure|The user executing the script can.t", str(problem)), problem
    same(it.redis.keys(), before, "keys")


@contextlib.contextmanager
def redis_rights(it, user, change, back):
    it.redis("ACL", "SETUSER", user, change)
    try:
        yield
    finally:
        it.redis("ACL", "SETUSER", user, back)
        until(lambda: it.ask("GET", "/readyz").status == 200, 10, "ready again")


@case("Redis does not show its run_id: sales wait, none is opened, /readyz and check say why; later all goes on")
def unknown_run(it):
    sale, users, log = it.sale(amount=10, segments=2), it.users(3), it.run / "log/hot.log"
    order, start = sale.win(users[0]), log.stat().st_size
    body = {"name": "later", "amount": 5, "stock": 1, "description": ""}
    with redis_rights(it, "seckill", "-info", "+info"):
        until(lambda: sale.claim(users[1]).code == "busy", 5, "the sale waits")
        answer = it.ask("GET", "/readyz").expect(503, "unavailable")
        assert "Redis refuses the account" in answer.json["detail"], answer
        done = it.ctl("check")
        same(done.returncode, 2, "exit of check")
        assert re.search("^redis +refused: NOPERM .*info", done.stdout), done.stdout
        it.ask("POST", sale.seller.path + "/coupons", sale.seller, body).expect(503, "unavailable")
        it.dev("stop", "hot")
        it.dev("start", "hot")
        sale.claim(users[1]).expect(503, "busy")
        same("redis_incarnation_unknown" in log.read_text()[start:], True, "a line in the log")
    until(lambda: sale.claim(users[1]).status in (200, 201), 5, "the sale goes on")
    same(sale.claim(users[0]).expect(200).json["order"], order, "the order of before")
    it.ask("POST", sale.seller.path + "/coupons", sale.seller, body).expect(201)
    sale.drained()
    sale.audit()


@case("Redis's default user cannot write: no program starts, and /readyz and check say what a restart would lose")
def replaying_user(it):
    text = "the default user may not write, so a restart drops what scripts wrote"
    with redis_rights(it, "default", "-@write", "+@write"):
        assert text in it.ask("GET", "/readyz").expect(503, "unavailable").json["detail"]
        done = it.ctl("check")
        same(done.returncode, 1, "exit of check")
        assert text in done.stdout, done.stdout
        for pool in ("hot", "cold"):
            done = start(it, "seckill-api", "-p", pool)
            same((done.returncode, "not_durable" in done.stderr), (78, True), f"exit and log of {pool}: {done.stderr}")
        done = start(it, "seckill-orderd")
        same(done.returncode, 78, f"exit: {done.stderr}")
        with redis_rights(it, "seckill", "-acl|dryrun", "+acl|dryrun"):  # one that may not ask takes it on trust
            same(it.ctl("check").returncode, 0, "exit of check without the right to ask")
            until(lambda: it.ask("GET", "/readyz").status == 200, 5, "ready")
            it.redis("ACL", "SETUSER", "default", "+@write")
    same(it.ctl("check").returncode, 0, "exit of check")


def start(it, program, *words):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(it.run / "tmp" / it.name("socket")))
        listening.listen()
        return subprocess.run([BUILD / program, "-c", it.run / "drain.conf", *words], stdin=listening, capture_output=True,
                              text=True, timeout=20, env=it.environment)


@case("nobody gets into Redis without a password")
def redis_anonymous(it):
    def refused(user, password):
        try:
            As(it, user, password)("PING")
        except RedisError as problem:
            assert re.match("NOAUTH|WRONGPASS", str(problem)), problem
        else:
            raise AssertionError("let in")
    every([(None, None), ("default", ""), ("default", "x"), ("seckill", ""), ("admin", "admin"), ("", "")], refused)


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1, SECKILL_DEBUG="yes")
