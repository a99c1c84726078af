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
    """In a case: it cannot run without these programs. Then it is skipped, but fails in CI."""
    gone = _missing(tools)
    assert not (gone and os.environ.get("CI")), f"not installed: {', '.join(gone)}"
    if gone:
        raise Skip(f"not installed: {', '.join(gone)}")


def need_all(*tools):
    """As need(), for the whole file; before anything starts."""
    gone = _missing(tools)
    if gone and os.environ.get("CI"):
        bail_out(f"not installed: {', '.join(gone)}")
    if gone:
        print(f"1..0 # SKIP not installed: {', '.join(gone)}", flush=True)
        sys.exit(0)


def case(name):
    """Registers a function as a case; it fails by raising anything."""
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
        function(*arguments)
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


def same(got, wanted, what):
    assert got == wanted, f"{what}: {got!r}, not {wanted!r}"


def every(rows, check):
    """Checks each row, and then fails with all that is wrong, not with the first only."""
    problems = []
    for row in rows:
        try:
            check(*row) if isinstance(row, tuple) else check(row)
        except AssertionError as problem:
            problems.append(f"{row!r:.150}: {problem}")
    assert not problems, f"{len(problems)} of {len(rows)} are wrong:\n" + "\n".join(problems)


def until(question, seconds, what, every=0.01):
    """Asks until the answer is true, and returns it; after so many seconds, fails."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(every)


def allowed(seconds):
    """So many seconds on a machine that is ours; more where more processes than processors want to run."""
    return seconds * max(1, os.getloadavg()[0] / os.cpu_count() / 2)


def bail_out(problem):
    print(f"Bail out! {problem}", flush=True)
    sys.exit(1)
