#!/usr/bin/env -S python3 -B
"""The deploy recipe of docs/operations.md, run as it stands there, under load: not one request fails."""

import re
import subprocess

from harness import POOLS, SOURCE, main
from storm import Storm
from tap import case, same


def recipe():
    """The lines of code under "Rolling restart"."""
    section = (SOURCE / "docs/operations.md").read_text().split("## Rolling restart")[1].split("\n## ")[0]
    return "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))


def deploy(it, part):
    old = it.full(part)
    text = re.sub("MULTIWATCH_PID", str(it.leader(part)), recipe())
    done = subprocess.run(["bash", "-eu", "-c", text], capture_output=True, text=True, timeout=60)
    same((done.returncode, done.stderr), (0, ""), "the recipe")
    new = it.full(part)
    same(set(old) & set(new), set(), f"{part} workers that are still the old ones")


@case("every pool gets new workers while customers claim: no request fails, no order is lost")
def rolling(it):
    storm = Storm(it)
    for part in POOLS:
        deploy(it, part)
    storm.proof_without_failures()


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1)
