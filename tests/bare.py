#!/usr/bin/env -S python3 -B
"""README.md and docs/operations.md followed on a bare Debian 12, word by word: packages, build, installation, servers, nginx.

A root made by debootstrap, in namespaces of its own for mounts, processes and the network (loopback alone); nothing outside
is touched. The command lines are those that tests/it/documents.py leaves to this file, in the order of the documents.
There is no systemd in it that runs: its unit files are verified, and what they start is started as their user.

Needs root, debootstrap and a Debian mirror (SECKILL_MIRROR). Takes some minutes; ./dev soak runs it.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parent / "it"))

import documents  # noqa: E402
import papers  # noqa: E402
from client import Client  # noqa: E402
from harness import BUILD, SOURCE  # noqa: E402
from tap import bail_out, comment, need_all, same, until  # noqa: E402

MIRROR = os.environ.get("SECKILL_MIRROR", "http://deb.debian.org/debian")
ROOT = BUILD / "bare"
TREE = "srv/seckill"
UNITS = ROOT / "etc/systemd/system"


def call(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)
    said = "\n".join(line for line in (done.stdout + done.stderr).splitlines() if not line.startswith(("PASS: ", "SKIP: ")))
    assert done.returncode == 0, f"{words}: exit {done.returncode}\n{said[-3000:]}"
    return done.stdout


def inside(text, folder="/" + TREE):
    """Runs bash in the root, as its administrator who has logged in and stands in a folder."""
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8",
                   "DEBIAN_FRONTEND": "noninteractive"}
    return call("chroot", ROOT, "bash", "-euo", "pipefail", "-c", f"cd {folder}\n{text}", env=environment)


# Outside: what needs the network

def tree_to(folder):
    """The tree as a clone has it, without what a build leaves."""
    ignore = shutil.ignore_patterns(".git", "build", "run", "__pycache__", "configure", "autom4te.cache", "*.o", "*.a")
    shutil.copytree(SOURCE, folder, ignore=ignore, symlinks=True)


def make_root():
    """A copy of a base that is kept: bare, but with the packages downloaded."""
    shutil.rmtree(ROOT, ignore_errors=True)
    base = BUILD / "bare.base"
    if not base.exists():
        call("debootstrap", "--include=ca-certificates", "bookworm", ROOT, MIRROR)
        tree_to(ROOT / TREE)
        shutil.copy("/etc/resolv.conf", ROOT / "etc/resolv.conf")
        inside("apt-get update; " + install().replace("apt-get install", "apt-get install --download-only"))
        shutil.rmtree(ROOT / TREE)
        os.rename(ROOT, base)
    call("cp", "-a", base, ROOT)
    tree_to(ROOT / TREE)


def blocks():
    """What is to be typed on a bare host, as (document, text, text before it)."""
    for document in papers.MARKDOWN:
        for piece in papers.markdown(document):
            if documents.way(piece) in (documents.bare, documents.BARE, documents.migrate):
                yield piece


def install():
    return next(piece.text for piece in blocks() if "apt-get install" in piece.text).split("./autogen.sh")[0]


# Inside: step by step

def strangers():
    """What others have on the database server, before and after."""
    return inside("mariadb -N -e \"SELECT user, host FROM mysql.user WHERE user NOT LIKE 'seckill%' ORDER BY 1, 2; "
                  "SELECT host, user, proxied_user FROM mysql.proxies_priv ORDER BY 1, 2; SELECT @@innodb_buffer_pool_size, "
                  "@@sql_mode, @@max_connections\"")


def make_strangers():
    inside("mariadb -e \"CREATE USER ''@localhost; CREATE USER them@localhost; CREATE USER nosy@'%'; "
           "GRANT PROXY ON them@localhost TO nosy@'%'\"")


def write_unit(piece):
    name = re.findall(r"/etc/systemd/system/(\S+\.service)", piece.before)[-1]
    (UNITS / name).write_text(piece.text + "\n")


def start_units():
    """What `systemctl enable --now` would do, without a systemd that runs."""
    files = sorted(UNITS.glob("seckill-*.service"))
    inside("systemd-analyze verify " + " ".join(f"/etc/systemd/system/{file.name}" for file in files))
    for file in files:
        text, unit = file.read_text().replace("\\\n", " "), file.stem
        for name in ("ExecStartPre", "ExecStart"):
            user, command = re.search(r"^User=(.*)$", text, re.M)[1], re.search(rf"^{name}=(.*)$", text, re.M)[1]
            how = f"setsid runuser -u {user} -- {command} >/var/log/{unit}.log 2>&1 </dev/null &" if name == "ExecStart" else \
                f"runuser -u {user} -- {command}"
            inside(how)


def by_hand(text):
    """A block, but for what asks systemd."""
    parts = re.split(r"^systemctl .*$\n?", text + "\n", flags=re.M)
    for number, part in enumerate(parts):
        if number == 1:
            start_units()
        if part.strip():
            inside(part)


def follow():
    print("# README.md: two commands", flush=True)
    inside("cp -a . /srv/clone")
    said = inside("./dev up; ./dev down", "/srv/clone")
    documents.compare(next(p.text for p in papers.markdown("README.md") if p.first.startswith("running at")), said)
    others = None
    for piece in blocks():
        print(f"# {piece}", flush=True)
        if "[Unit]" in piece.text:
            write_unit(piece)
        elif piece.first == documents.CONFIGURE:
            inside(piece.text.replace("make check", "make check TESTS=") + " DESTDIR=/srv/in-tree", "/srv/clone")
        elif piece.first.startswith("mariadb-dump"):
            assert "CREATE TABLE `orders`" in inside(piece.text + " seckill")
        else:
            by_hand(piece.text)
        if "apt-get install" in piece.text:
            inside("for server in mariadb redis-server nginx; do service $server start; done")
            until(lambda: subprocess.run(["chroot", ROOT, "mariadb", "-e", "DO 0"], capture_output=True).returncode == 0, 60,
                  "MariaDB")
            make_strangers()
            others = strangers()
    same(strangers(), others, "what others have in MariaDB")


def sell():
    """A sale, through the nginx that was set up."""
    client = Client(80)
    ask = client.ask
    assert b"nginx" not in ask("GET", "/").body, "nginx's own page answers"
    for name, kind in (("shop", "seller"), ("customer", "customer")):
        ask("POST", "/api/users", body={"username": name, "password": "a long password", "kind": kind}).expect(201)
    tokens = {name: ask("POST", "/api/auth", body={"username": name, "password": "a long password"}).expect(200).json["token"]
              for name in ("shop", "customer")}
    ask("POST", "/api/users/shop/coupons", authorization=tokens["shop"],
        body={"name": "tv", "amount": 1, "stock": 100, "description": "x"}).expect(201)
    ask("POST", "/api/users/shop/coupons/tv/claims", authorization=tokens["customer"]).expect(201)
    rows = "mariadb -N -e 'SELECT COUNT(*) FROM seckill.orders'"
    until(lambda: inside(rows).strip() == "1", 20, "the order in MariaDB", every=0.2)
    inside("runuser -u seckill -- seckillctl -c /etc/seckill/drain.conf audit")
    metrics = ask("GET", "/metrics").body.decode()
    for line in ('seckill_claims_total{end="won"} 1', "seckill_drain_alive 1", "seckill_drain_denied 0"):
        assert line + "\n" in metrics, f"{line} is not in /metrics"
    logs = [log.read_text() for log in (ROOT / "var/log").glob("seckill-*.log")]
    assert len(logs) >= 3 and not [log for log in logs if " error " in log or "counting alone" in log], logs


def within():
    """In the namespaces, as the first process there: it reaps, and its child does the work."""
    child = os.fork()
    while child:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status))
    call("mount", "--make-rprivate", "/")
    call("mount", "-t", "proc", "proc", ROOT / "proc")
    call("mount", "-t", "tmpfs", "tmpfs", ROOT / "run")
    call("mount", "--rbind", "/dev", ROOT / "dev")
    inside("ip link set lo up", "/")
    try:
        follow()
        sell()
    except BaseException as problem:
        print("not ok 1 - the documents, on a bare Debian", flush=True)
        comment(problem)
        sys.exit(1)
    print("ok 1 - the documents, on a bare Debian", flush=True)


def main():
    if sys.argv[1:] == ["within"]:
        return within()
    need_all("debootstrap", "unshare", "chroot")
    if os.geteuid() != 0:
        bail_out("only root can make a root")
    print("1..1", flush=True)
    try:
        make_root()
        alone = ["unshare", "-m", "-p", "-n", "--fork", "--kill-child"]
        return subprocess.run([*alone, sys.executable, "-B", __file__, "within"]).returncode
    finally:
        if not os.environ.get("IT_KEEP"):
            shutil.rmtree(ROOT, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
