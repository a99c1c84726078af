"""TAP in a page: a case is a function with a name, cases run in the order in which they are written."""

import os
import shutil
import sys
import time
import traceback

_cases = []


class Skip(Exception):
    """Raised by a case that cannot be run here; says why."""


def _missing(tools):
    return [tool for tool in tools if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]


def need(*tools):
    """For a case that needs these programs: without them it is skipped, and in CI it fails."""
    gone = _missing(tools)
    assert not (gone and os.environ.get("CI")), f"not installed: {', '.join(gone)}"
    if gone:
        raise Skip(f"not installed: {', '.join(gone)}")


def need_all(*tools):
    """Like need(), for a whole file, before anything starts."""
    gone = _missing(tools)
    if gone and os.environ.get("CI"):
        bail_out(f"not installed: {', '.join(gone)}")
    if gone:
        print(f"1..0 # SKIP not installed: {', '.join(gone)}", flush=True)
        sys.exit(0)


def case(name):
    """Registers a function as a case. A case fails when it raises an exception."""
    def register(function):
        _cases.append((name, function))
        return function
    return register


def comment(text):
    for line in str(text).splitlines():
        print("#", line.encode("utf-8", "backslashreplace").decode(), flush=True)


def run_cases(*arguments):
    """Runs every case with these arguments and returns how many failed."""
    print(f"1..{len(_cases)}", flush=True)
    return sum(not _run(number, *c, arguments) for number, c in enumerate(_cases, 1))


def _run(number, name, function, arguments):
    began = time.monotonic()
    try:
        _measured(function, arguments)
    except Skip as reason:
        print(f"ok {number} - {name} # SKIP {reason}", flush=True)
        return True
    except Exception as problem:
        print(f"not ok {number} - {name}", flush=True)
        comment("".join(traceback.format_exception(problem)))
        return False
    print(f"ok {number} - {name}", flush=True)
    comment(f"{time.monotonic() - began:.1f} s")
    return True


def _measured(function, arguments, times=3):
    """Runs a case. On a busy machine one that measured too long a time runs again: only a slow program is slow each time."""
    for _ in range(times - 1):
        try:
            return function(*arguments)
        except TooSlow as problem:
            if _work() <= 1:
                raise
            comment(f"{problem}: the machine is busy, so it is measured again")
    return function(*arguments)


def same(got, wanted, what):
    assert got == wanted, f"{what}: {got!r}, not {wanted!r}"


def every(rows, check):
    """Checks each row, and fails with all that are wrong."""
    problems = []
    for row in rows:
        try:
            check(*row) if isinstance(row, tuple) else check(row)
        except AssertionError as problem:
            problems.append(f"{row!r:.150}: {problem}")
    assert not problems, f"{len(problems)} of {len(rows)} are wrong:\n" + "\n".join(problems)


def until(question, seconds, what, every=0.01):
    """
    Calls the function until it returns something true, and returns that. Fails after so many seconds; later when the machine
    has more work than processors. For promises about time there is quick().
    """
    began = time.monotonic()
    while True:
        answer = question()
        if answer:
            return answer
        waited = time.monotonic() - began
        assert waited < seconds or waited < seconds * min(_work(), 10), f"{what}: not within {waited:.1f} s"
        time.sleep(every)


def happens(question, seconds, every=0.01):
    """Calls the function until it returns something true, and returns that; None when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > deadline:
            return None
        time.sleep(every)
    return answer


def pause(seconds, why):
    """
    A wait that is part of what is tested: the pace of a load, how long a fault lasts, a time that must pass. `why` says
    which. Whatever can be asked for is waited for with until().
    """
    time.sleep(seconds)


def _work():
    """How much is ready to run for each processor: now, or on the average of the last minute."""
    with open("/proc/loadavg") as file:
        average, *_, ready = file.read().split()[:4]
    return max(float(average), int(ready.split("/")[0])) / os.cpu_count()


def allowed(seconds):
    """A time limit for an idle machine; longer when the machine has more work than processors."""
    return seconds * max(1, _work() / 2)


class TooSlow(AssertionError):
    """Raised by quick() and faster()."""


def quick(took, seconds, what):
    """Checks a promise about time, such as the p99 of many measurements. On a busy machine the case may run again."""
    faster(took, allowed(seconds), f"{what}: {took:.2f} s, not below {seconds} s")


def faster(took, other, what):
    """The same for two measurements that are compared."""
    if took >= other:
        raise TooSlow(what)


def bail_out(problem):
    print(f"Bail out! {problem}", flush=True)
    sys.exit(1)
