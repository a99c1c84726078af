#!/usr/bin/env -S python3 -B
"""Every command line that README.md, docs/operations.md and the examples of the manual pages print.

WAYS says of each what is done with it: it is run against a private instance and must succeed, with what it prints having the
shape of what the document shows; or it needs root, apt or systemd, and tests/bare.py runs it on a bare Debian (./dev soak);
or a reason says why it is not run. A command line that stands in a document and not in WAYS is a failure, and the other way
round.

The words of the documents are not changed but for the paths and names in Line.fill().
"""

import collections
import html
import json
import os
import pathlib
import re
import signal
import subprocess

import papers
from harness import BUILD, SOURCE, main
from tap import case, every, same, until

OWN_BUILD = BUILD / "documents"  # for `./dev up`, which builds
BARE = "needs root, apt or systemd: run by tests/bare.py"


class Line:
    """Command lines of a document, as a user of this instance would type them."""

    def __init__(self, it, piece):
        self.it, self.piece = it, piece
        self.environment = it.environment | {"PATH": f"{BUILD}:{os.environ['PATH']}:/usr/sbin:/sbin", "SECKILL_NO_INSTALL": "1",
                                             "SECKILL_BUILD": str(OWN_BUILD), "SECKILL_PORT": str(it.port)}
        self.names = {}

    def fill(self, text):
        run = self.it.run
        for old, new in {"http://127.0.0.1:8080": f"http://127.0.0.1:{self.it.port}",
                         "/etc/seckill/seckill.conf": run / "seckill.conf", "/etc/seckill/drain.conf": run / "drain.conf", "DRAIN.CONF": run / "drain.conf",
                         "/etc/seckill/": f"{run}/etc/", "/run/redis/redis-server.sock": run / "redis.sock",
                         "/run/seckill/redis.sock": run / "redis.sock", "/run/mysqld/mysqld.sock": run / "mysql.sock",
                         "/run/seckill/": f"{run}/tmp/", "/usr/local/bin/": f"{BUILD}/",
                         "/usr/local/share/seckill/examples/grants.sql": SOURCE / "docker/grants.sql",
                         "mariadb <": f"mariadb --defaults-file={run}/etc/mysql-owner.cnf <", **self.names}.items():
            text = text.replace(old, str(new))
        return text

    def run(self, text=None, code=0):
        """Runs it in bash, from the top of the tree; returns what it printed."""
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", self.fill(text or self.piece.text)], cwd=SOURCE,
                              env=self.environment, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
        assert done.returncode == code, f"exit {done.returncode}: {done.stdout[-1500:]}{done.stderr[-1500:]}"
        return done.stdout

    def start(self, ready, what):
        """Runs something that stays, until ready(pid) holds; then asks it to stop."""
        command = self.fill(self.piece.text).replace("spawn-fcgi -n", "exec spawn-fcgi -n").replace("\\\n", " ")
        log = self.it.run / "tmp/documents.log"
        with open(log, "w") as out, subprocess.Popen(["bash", "-c", command if "exec" in command else f"exec {command}"],
                                                     env=self.environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                                     start_new_session=True) as process:
            try:
                until(lambda: ready(process.pid), 20, f"{what}; it says: {log.read_text()[-500:]}")
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)


def shape(line):
    """A line of output without what differs from run to run."""
    return re.sub(r"\d+", "N", re.sub(r"\b[0-9a-f]{8}\b", "HEX", line)).strip()


def compare(shown, said):
    """Line by line, from the first line that is shown on; '...' stands for any others."""
    shown, said = [[shape(line) for line in text.strip().split("\n")] for text in (shown, said)]
    assert shown[0] in said, f"{shown[0]!r} is not in {said}"
    said = said[said.index(shown[0]):]
    for number, line in enumerate(shown):
        if line == "...":
            return
        same(said[number] if number < len(said) else None, line, f"line {number + 1} of the output")
    same(said[len(shown):], [], "more output")


printed = {}  # what the last command line of a document printed that a later block shows


def run(it, piece):
    Line(it, piece).run()


def shown(it, piece):
    """Output that a document shows in a block of its own."""
    compare(piece.text, printed.pop(piece.document))


def dev(it, piece):
    """./dev COMMAND, a line each, with a remark."""
    for text in papers.command_lines(piece.text):
        text = re.sub(r"\s+# .*", "", text)
        ways = {"git clone REPOSITORY seckill && cd seckill": None, "./dev up": up, "./dev test": None, "./dev logs": logs, "./dev logs hot": logs, "./dev down": down}
        way = ways.get(text, run)
        if way:
            way(it, papers.Piece(piece.document, text, True))


def up(it, piece):
    said = Line(it, piece).run()
    printed[piece.document] = said
    it.ask = it.new_client().ask  # nginx may be another one
    for text in said.split("try:\n")[1].splitlines():
        assert re.match(r"HTTP/1.1 20[01] ", Line(it, piece).run(text.strip() + " -s")), text


def logs(it, piece):
    """It goes on for ever: the first lines are enough."""
    line = Line(it, piece)
    with subprocess.Popen(["bash", "-c", f"exec {piece.text}"], cwd=SOURCE, env=line.environment, stdout=subprocess.PIPE,
                          text=True) as process:
        assert process.stdout.readline().strip(), "nothing"
        process.kill()


def down(it, piece):
    Line(it, piece).run()
    same([part for part in ("redis", "mysql", "hot", "cold", "drain", "nginx") if it.pids(part)], [], "what still runs")
    it.dev("start")
    it.ask = it.new_client().ask


def known(it, piece):
    """The name of a command, no line to be typed."""
    program, word = piece.text.split()[:2]
    text = subprocess.run([SOURCE / "dev", "help"] if program == "./dev" else [BUILD / program, "-h"], capture_output=True,
                          text=True).stdout
    assert re.search(rf"^ +{re.escape(word)}\b", text, re.M), text


def exists(it, piece):
    assert (SOURCE / piece.text.split()[0]).is_file()


def ctl(it, piece):
    """seckillctl without its settings, which the text leaves out."""
    settings = it.run / ("drain.conf" if re.search("dead (retry|drop)|recover|--yes", piece.text) else "seckill.conf")
    line = Line(it, piece)
    if re.search("dead (retry|drop)", piece.text):
        line.names = {" ID": f" {letter(it)}", "TEXT": "lost"}
    line.run(piece.text.replace("seckillctl ", f"seckillctl -c {settings} ", 1))


def letter(it):
    """A dead letter that can be decided about either way: what made it one is gone."""
    sale, customer = it.sale(amount=5, segments=1), it.customer()
    it.sql("INSERT INTO orders (coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms) "
           f"VALUES ({sale.id}, 200, 1, {customer.id}, 1, 1, 1)")
    sale.win(customer)
    id = until(lambda: it.sql(f"SELECT id FROM dead_letters WHERE coupon_id = {sale.id}"), 20, "the dead letter")[0][0]
    it.sql(f"DELETE FROM orders WHERE coupon_id = {sale.id} AND segment = 200")
    return id


def shop(it, coupon="tv", sellers=[], sales=set()):
    """The sales that examples are about, made once."""
    if not sellers:
        sellers.append(it.account("shop", "seller"))
    if coupon not in sales:
        it.sale(sellers[0], coupon, amount=2000)
        sales.add(coupon)
    return f"shop/{coupon}"


def walk(it, piece):
    """Commands that are pasted one after the other; the order is committed before it is read."""
    line = Line(it, piece)
    line.names = {"build/seckillctl": BUILD / "seckillctl", "run/seckill.conf": it.run / "seckill.conf",
                  "run/etc/": f"{it.run}/etc/"}
    committed = ("for _ in $(seq 500); do build/seckillctl -c run/seckill.conf audit shop1/tea | grep -q ' 0 queued' && break; "
                 "sleep 0.02; done\n")
    claimed = "/coupons/tea/claims | sed 's/.*\"order\":\"//; s/\".*//')\n"
    assert claimed in piece.text, "the claim"
    printed[piece.document] = line.run(piece.text.replace(claimed, claimed + committed))


def recover(it, piece):
    title = shop(it)
    command, other = piece.text.split("# or ")
    line = Line(it, piece)
    for name in (title, other.strip()):
        line.names = {"SELLER/COUPON": name}
        line.run(command)


def wrong_price(it, piece):
    sale, user = it.sale(amount=2, pay_within=3600, price=500, currency="EUR"), it.customer()
    order = sale.win(user)
    sale.drained()
    line = Line(it, piece)
    line.names = {"SELLER/COUPON": sale.title, "CONF": it.run / "seckill.conf"}
    line.run()
    same(it.ask("GET", f"/api/orders/{order}", user).expect(200).json["status"], "cancelled", "the order")


def pool(it, piece):
    """A pool of the hot workers on a socket of its own."""
    def workers(pid):
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return len(children) == 2 and (it.run / "tmp/hot.sock").exists()
    Line(it, piece).start(workers, "two workers")


def drainers(it, piece):
    """They say that nothing is wrong with their account, and stay."""
    log = it.run / "tmp/documents.log"

    def work(pid):
        text = log.read_text()
        assert "error" not in text and "failed" not in text, text
        return text.count(" info started ") == 2
    Line(it, piece).start(work, "two drainers")


def migrate(it, piece):
    assert "0 applied now" in Line(it, piece).run()


def audit(it, piece):
    shop(it, "tea")
    run(it, piece)


def decide(it, piece):
    line = Line(it, piece)
    line.names = {" 17 ": f" {letter(it)} "}
    line.run()


def tokens(it, piece):
    line = Line(it, piece)
    file = it.run / "tmp/tokens"
    line.names = {" tokens": f" {file}"}
    line.run()
    same(len(file.read_text().splitlines()), 1000, "tokens")


def settings(it, piece):
    """A file of settings: it is taken, and the servers are found."""
    file = it.run / "tmp/example.conf"
    file.write_text(Line(it, piece).fill(piece.text) + f"\nboard = {it.run}/board\nmarks = {it.run}/marks\n")
    Line(it, piece).run(f"seckillctl -c {file} -t check; seckillctl -c {file} check")


def key(it, piece):
    line = Line(it, piece)
    line.names = {">token.keys": f">{it.run}/tmp/token.keys; chmod 600 {it.run}/tmp/token.keys"}
    line.run()
    line.run(f"seckill-api -c {it.run}/seckill.conf -p hot -t -s token_key_file={it.run}/tmp/token.keys")


def payment_key(it, piece):
    line = Line(it, piece)
    line.names = {">payment.keys": f">{it.run}/tmp/payment.keys; chmod 600 {it.run}/tmp/payment.keys"}
    line.run()
    line.run(f"seckill-api -c {it.run}/seckill.conf -p cold -t -s payment_key_file={it.run}/tmp/payment.keys")


def bare(it, piece):
    """Not run here; it is shell at least, and names only files that are installed."""
    if piece.text.startswith("[Unit]"):
        for line in re.findall(r"^Exec\w+=(.*(?:\\\n.*)*)", piece.text, re.M):
            for word in re.findall(r"(?:^|-- )(\S+)", line.replace("\\\n", " ")):
                assert word.startswith("/"), f"{word} is no whole path"
        return
    done = subprocess.run(["bash", "-n", "-c", piece.text], capture_output=True, text=True)
    same((done.returncode, done.stderr), (0, ""), "bash -n")
    installed = (SOURCE / "Makefile.am").read_text()
    for name in re.findall(r"share/seckill/examples/(\S+)|nginx/(seckill\.conf\.in)", piece.text):
        assert "/" + (name[0] or name[1]) in installed, name


HOSTS = "run by tests/it/hosts.py, in network namespaces"
LONG = "takes long; tests/it/bench.py runs a short one"
COUNTER = "run by tests/it/counter.py"
STEERING = "run by tests/it/steering.py"
ENGINE = "needs a container engine"
CONFIGURE = "./autogen.sh && ./configure && make && make check && make install"
WAYS = {
    "README.md": {
        "client ──► nginx                  limits, static pages; answers for sold-out sales by itself": "a picture",
        "git clone REPOSITORY seckill && cd seckill": dev, "running at http://127.0.0.1:8080": shown,
        "./dev up": known, "./dev status": run, "./dev logs": logs, "./dev down": known, "./dev help": run, "./dev bench": known,
        "./dev soak": known, "seckillctl audit": ctl, "seckillctl recover": known, CONFIGURE: BARE,
        "curl -s http://127.0.0.1:8080/api/users/shop1/coupons/tea; echo": walk,
        '{"errMsg":"","seller":"shop1","name":"tea","description":"a sale to try","stock":500,"amount":1000,"left":1000,'
        '"limit":1,"state":"open","starts_at":null,"ends_at":null,"price":500,"currency":"EUR","pay_within":900,'
        '"checkout_url":"http://127.0.0.1:8080/checkout.html?order={order}"}': shown},
    "docs/operations.md": {
        "./dev up": dev, "./dev help": run,
        r"awk '/^\[/ { wanted = /build|run/ } /^[a-z]/ && wanted { print $1 }' docker/packages.txt |": bare,
        "adduser --system --group --no-create-home --home /run/seckill seckill": bare, "cd /etc/seckill": bare,
        "cd /usr/local/share/seckill/examples": bare,
        r"printf '%s\n' 'redis = unix:/run/redis/redis-server.sock' 'redis_user = seckill' " "\\": bare,
        "seckillctl -c /etc/seckill/seckill.conf -s mysql_user=seckill_owner \\": migrate, "[Unit]": bare,
        "cd /etc/systemd/system": bare, "runuser -u seckill -- seckillctl -c /etc/seckill/seckill.conf check": bare,
        "sed -e 's|@LISTEN@|80|; s|@RUN@|/run/seckill|g; s|@WWW@|/usr/local/share/seckill/www|; s|@IN_FLIGHT@|100|' \\": bare,
        "spawn-fcgi -b": "the name of a flag", "make check": "is what runs this test", "tests/fuzz/soak.sh 600": exists,
        'SECKILL_CORS_ORIGINS="https://a.example https://b.example"': "a setting; tests/it/security.py starts with one",
        "systemctl reset-failed redis-server; systemctl start redis-server": "needs systemd; tests/it/disk.py starts it by hand",
        "./dev start redis": "run by tests/it/disk.py", "./dev status": run, "seckillctl check": ctl, "seckillctl user list": ctl,
        "seckillctl recover": known, "seckillctl routes": ctl, "seckillctl dead list": ctl, "seckillctl status": ctl,
        "seckillctl audit": ctl, "seckillctl audit --repair": ctl, "seckillctl dead retry ID": ctl,
        "seckillctl quota SELLER": "run by tests/it/quotas.py",
        "seckillctl dead drop ID --reason TEXT": ctl, "seckillctl orders refund-due": ctl, "seckillctl orders refund": COUNTER,
        "seckillctl orders": COUNTER,
        "seckillctl pause SELLER/COUPON": STEERING, "seckillctl sale SELLER/COUPON": STEERING, "seckillctl sale": STEERING, "seckillctl resume": STEERING,
        "seckillctl withdraw SELLER/COUPON N": STEERING, "seckillctl end SELLER/COUPON": STEERING,
        "seckillctl archive SELLER/COUPON": STEERING, "seckillctl orders pay": COUNTER, "seckillctl orders show NO": COUNTER,
        r"""seckillctl -c CONF --json orders list SELLER/COUPON --status pending,paid | sed 's/.*"order":"\([0-9-]*\)".*/\1/' |""":
            wrong_price,
        "REDISCLI_AUTH=$(cat /etc/seckill/redis-admin.password) redis-cli -s /run/redis/redis-server.sock --user admin \\": run,
        "seckillctl -c DRAIN.CONF recover SELLER/COUPON": recover,
        "sold in Redis = rows in MySQL + on the lists + dead letters + dropped ones": "a sum",
        "for pid in $(pgrep -P MULTIWATCH_PID); do": "run by tests/it/deploy.py, as it stands",
        "install -m 0600 /dev/null /etc/seckill/redis-replica.password": HOSTS,
        r"replica=$(tr -d '\n' </etc/seckill/redis-replica.password | sha256sum | cut -d' ' -f1)": HOSTS,
        "export REDISCLI_AUTH=$(cat /etc/seckill/redis-admin.password)": HOSTS,
        r"printf '%s\n' 'bind-address = 10.0.0.21' >>/etc/mysql/mariadb.conf.d/60-seckill.cnf": HOSTS,
        r"printf '%s\n' 'redis = cluster:10.0.0.31:6379,10.0.0.32:6379,10.0.0.33:6379' 'mysql_socket =' " "\\": HOSTS,
        "redis-cli --user admin --cluster reshard 10.0.0.31:6379 --cluster-from SOURCE_ID --cluster-to TARGET_ID \\": HOSTS,
        "finish() {": HOSTS, "redis-cli --cluster fix": "is what not to do",
        "redis-cli --user admin --cluster call 10.0.0.32:6379 CLUSTER FORGET LOST_ID": HOSTS,
        "nginx -s reload": "run by tests/it/killstorm.py", "mariadb-dump --single-transaction": BARE},
    "docs/seckill-api.8": {"spawn-fcgi -n -s /run/seckill/hot.sock -M 0660 -b 4096 -- \\": pool},
    "docs/seckill-orderd.8": {"multiwatch -f 2 -r 1000 -t 100 -- \\": drainers},
    "docs/seckillctl.8": {
        "seckillctl -c /etc/seckill/seckill.conf -s mysql_user=seckill_owner \\": migrate,
        "seckillctl -c /etc/seckill/seckill.conf audit shop/tea": audit,
        "seckillctl -c /etc/seckill/drain.conf audit --repair shop/tea": decide,
        "seckillctl -c /etc/seckill/seckill.conf token --count 1000 --prefix buyer --out tokens": tokens},
    "docs/seckill.conf.5": {"# Redis and MySQL on this host": settings,
                            r"printf 'k1 %s\n' " '"$(openssl rand -hex 32)" >token.keys': key,
                            r"printf 'whsec_%s\n' " '"$(openssl rand -base64 32)" >payment.keys': payment_key},
}


def pieces(document):
    return papers.markdown(document) if document in papers.MARKDOWN else papers.manual(document)


def way(piece):
    """A file of the tree is there; all else stands in WAYS."""
    if not piece.block and re.fullmatch(r"tests/\S+", piece.text):
        return exists
    return WAYS[piece.document].get(piece.first)


@case("every command line of the documents is run, or listed with the reason why not")
def accounted(it):
    found = collections.defaultdict(set)
    for document in WAYS:
        for piece in pieces(document):
            assert way(piece), f"{piece} stands in no row of WAYS"
            found[document].add(piece.first)
    every([(document, first) for document in WAYS for first in WAYS[document]],
          lambda document, first: same(first in found[document], True, f"{first!r} stands in {document}"))


def runs(document):
    @case(f"{document}: the command lines work, and print what is shown")
    def _(it):
        OWN_BUILD.mkdir(exist_ok=True)
        todo = [piece for piece in pieces(document) if callable(way(piece))]
        every(todo, lambda piece: way(piece)(it, piece))
        same(printed, {}, "output of which nothing is shown") if document == "README.md" else printed.clear()


for name in WAYS:
    runs(name)


@case("the test checkout page has the payment of README's walk, and no script, style or handler within it")
def checkout(it):
    answers = {name: it.ask("GET", "/" + name).expect(200) for name in ("checkout.html?order=1-0-1", "checkout.js", "style.css")}
    page = answers["checkout.html?order=1-0-1"].body.decode()
    same(answers["checkout.js"].headers.get_content_type() in ("application/javascript", "text/javascript"), True, "type of the script")
    assert not re.search(r"<script(?! src=\"checkout.js\" defer></script>)|<style|\bon\w+=|style=|javascript:", page), page
    typed = html.unescape(re.sub(r"<[^>]*>", "", re.search(r"<pre>(.*)</pre>", page, re.S)[1])).split("\n")
    walk = next(piece for piece in pieces("README.md") if "/payment; echo" in piece.text).text.split("\n")
    same(typed, ["ORDER=ORDER"] + [line for line in walk if line.startswith(("BODY=", "SIGNATURE="))] +
         [line for line in walk if "/payment; echo" in line], "the lines to be typed")


@case("the JSON of status and audit has the members that seckillctl(8) names")
def members(it):
    shop(it)
    text = (SOURCE / "docs/seckillctl.8").read_text().split(".Sh JSON")[1].split(".Sh ENVIRONMENT")[0]
    units, rest = text.split(".El", 1)

    def named(text):
        return {name for line in re.findall(r"^\.(?:It )?Cm (.*)$", text, re.M) for name in re.findall(r"[a-z_0-9]+", line)}
    status = json.loads(it.ctl("--json", "status").stdout)
    same(set(status), named(units.split(".Bl")[0]), "members of status")
    of_audit = {"balanced", "problems", "more_problems"}
    wanted = named(units[units.index(".Bl"):].split(".It Cm balanced")[0])
    same(set(status["coupons"][0]), wanted, "members of a coupon in status")
    same(set(json.loads(it.ctl("--json", "audit").stdout)[0]), wanted | of_audit, "members of a coupon in audit")
    same(set(status["host"]), named(rest.split("has the members")[1].split(".Pp")[0]), "members of host")


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1)
