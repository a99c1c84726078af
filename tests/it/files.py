#!/usr/bin/env -S python3 -B
"""The files that the processes of a host share, when they are gone or another's."""

import os

from harness import main
from tap import case, same

@case("an operator's commands never make the service's files; the service does, at its start")
def never_made(it):
    files = [it.run / "board", it.run / "marks"]
    it.dev("stop", "hot", "cold", "drain")
    for file in files:
        file.unlink()
    for words in (["status"], ["check"], ["audit"], ["token", "--count", 2, "--prefix", it.name("t")], ["dead", "list"],
                  ["recover", "--all"]):
        it.ctl(*words)
        same([file.exists() for file in files], [False, False], f"files made by {words[0]}")
    done = it.ctl("status")
    same(done.returncode, 0, "exit of status")
    assert "no counters of this host" in done.stderr, done
    done = it.ctl("check")
    same((done.returncode, done.stdout.count("not there yet")), (0, 2), f"check: {done}")
    it.dev("start", "hot", "cold", "drain")
    same(it.ask("GET", "/readyz").expect(200).json["warnings"], [], "warnings")
    same([file.exists() for file in files], [True, True], "files made by the service")


@case("files that the service cannot use are named by /readyz and check, and are left alone; it sells all the same")
def unusable(it):
    it.dev("stop", "hot", "cold", "drain")
    (it.run / "board").unlink()
    (it.run / "board").mkdir()
    (it.run / "marks").write_text("not ours")
    it.dev("start", "hot", "cold", "drain")
    warnings = it.ask("GET", "/readyz").expect(200).json["warnings"]
    same([warning.split(":")[0] for warning in warnings], ["board", "marks"], "warnings")
    done = it.ctl("check")
    same(done.returncode, 1, "exit of check")
    for path in ("board", "marks"):
        assert f"{it.run}/{path}: " in done.stdout, done.stdout
    sale = it.sale(amount=4)
    outcomes = sale.rush(it.users(8))
    sale.prove(outcomes)
    same((it.run / "marks").read_text(), "not ours", "the file")
    it.dev("stop", "hot", "cold", "drain")
    (it.run / "board").rmdir()
    (it.run / "marks").unlink()
    it.dev("start", "hot", "cold", "drain")
    same(it.ask("GET", "/readyz").expect(200).json["warnings"], [], "warnings")
    (it.run / "marks").unlink()
    warning, = it.ask("GET", "/readyz").expect(200).json["warnings"]
    assert "removed" in warning, warning
    it.dev("stop", "hot", "cold", "drain")
    it.dev("start", "hot", "cold", "drain")


@case("files of the wrong owner: check run by root says so")
def wrong_owner(it):
    if os.getuid() != 0:
        return  # nobody else can make a file that is another's
    folder = it.run / "theirs"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    for name in ("board", "marks"):
        (folder / name).write_bytes((it.run / name).read_bytes())
    done = it.ctl("-s", f"board={folder}/board", "-s", f"marks={folder}/marks", "check")
    same((done.returncode, done.stdout.count("owner")), (1, 4), f"check: {done.stdout}")


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1, SECKILL_REDIS_TIMEOUT_MS=500)
