"""Processes that are killed, or stand still, at a point of src/host/fault.def.

The programs are built a second time, with --enable-faults. A fault is a file that the process which acts removes: it
happens once, and the process that is started in its place lives.
"""

import fcntl
import itertools
import os
import pathlib
import subprocess
import tempfile

import harness
from nemesis import FAULTS
from storm import SEED, dice
from tap import comment, happens

BUILD = harness.BUILD / "faults"
FOLDER = tempfile.TemporaryDirectory(prefix="skf", dir="/tmp")
FILE = pathlib.Path(FOLDER.name, "fault")
SETTINGS = {"SECKILL_BUILD": BUILD, "SECKILL_FAULT": f"@{FILE}"}
_numbers = itertools.count(1)


def some(rows):
    """A third of the rows, others in each run (IT_SEED repeats one); all in the soak. For stalls, which take their time."""
    rows = list(rows)
    if os.environ.get("IT_SOAK"):
        return rows
    comment(f"IT_SEED={SEED}")
    return dice.sample(rows, -(-len(rows) // 3))


def arm(point, action, when=1):
    """The next process that passes the point for the when-th time does it. The result says whether it was done already."""
    new = FILE.with_suffix(".new")
    new.write_text(f"{point}:{action}:{when}:{next(_numbers)}")  # another text each time: passages count from here
    new.rename(FILE)
    return lambda: not FILE.exists()


def disarm():
    FILE.unlink(missing_ok=True)


def at_a_point(nemesis, points, action):
    """The next process that passes one of these points is killed, or stands still; if one does soon. Returns how many did."""
    done = arm(nemesis.dice.choice(points) + "_*", action, nemesis.dice.randint(1, 9))
    try:
        return int(bool(happens(done, 0.3)))
    finally:
        disarm()


def faults(weights, points):
    """What a nemesis does: FAULTS with other weights, and faults at points; these by the words before the _ of their names."""
    kill, stall = "kill", lambda nemesis: f"stall={nemesis.dice.choice([50, 300, 1500])}"
    return [(weights.get(what, weight), what, act) for weight, what, act in FAULTS] + [
        (30, "kill at a point", lambda nemesis: at_a_point(nemesis, points, kill)),
        (15, "stall at a point", lambda nemesis: at_a_point(nemesis, points, stall(nemesis)))]


def build():
    """Builds the programs with the points. Tests that run side by side wait for each other here."""
    quiet = {name: value for name, value in os.environ.items() if "MAKE" not in name and name != "MFLAGS"}
    with open(harness.BUILD / "faults.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(["make", "-C", harness.BUILD, "faults"], env=quiet, capture_output=True, text=True)
    if done.returncode:
        harness.bail_out(done.stdout[-2000:] + done.stderr[-2000:])
