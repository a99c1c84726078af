"""A sale under faults: customers who go on asking while things are killed, and the proof afterwards.

IT_SEED=n repeats a run's random choices.
"""

import os
import random
import signal

from sale import Crowd
from tap import comment, pause, until

SEED = int(os.environ.get("IT_SEED") or random.randrange(10**6))
dice = random.Random(SEED)
USERS, UNITS, CONNECTIONS = 1200, 1000, 12


class Paused:
    """Drainers stand still while orders are prepared, and find all of them at once afterwards."""

    def __init__(self, it):
        self.it = it

    def __enter__(self):
        kill(self.it.full("drain"), signal.SIGSTOP)

    def __exit__(self, *problem):
        kill(self.it.workers("drain"), signal.SIGCONT)


class Storm:
    """A sale whose customers already claim. It ends with proof()."""

    def __init__(self, it):
        self.it, self.sale = it, it.sale(amount=UNITS, segments=dice.choice([1, 4, 10, 32]))
        if not hasattr(it, "crowd"):
            it.crowd = it.users(USERS)
            comment(f"IT_SEED={SEED}")
        self.crowd = Crowd(self.sale, dice.sample(it.crowd, USERS), CONNECTIONS, lasting=True)
        self.crowd.start()

    def reach(self, fraction):
        """Waits until this fraction of the units is claimed."""
        until(lambda: self.sale.claimed() >= fraction * self.sale.amount, 20, f"{fraction:.0%} of the units are sold")

    def pulse(self, action, times, every):
        """Calls the action so many times, at random moments, while customers claim."""
        for _ in range(times):
            action()
            pause(dice.uniform(0, 2 * every), "the rate of the fault")

    def proof(self):
        """After the faults: checks every promise, and returns the outcomes."""
        outcomes = self.crowd.join()
        self.it.client.close()
        steady(self.it, self.sale)
        self.sale.prove(outcomes)
        comment(f"{self.sale.segments} segments, {self.crowd.asked} claims, {sum(o.unanswered for o in outcomes)} lost "
                f"answers, {sum(len(o.refused) for o in outcomes)} times 5xx")
        return outcomes

    def proof_without_failures(self):
        outcomes = self.proof()
        failed = [(o.unanswered, o.refused) for o in outcomes if o.unanswered or o.refused]
        assert not failed, f"{len(failed)} customers met failures: {failed[:5]}"


def steady(it, sale, seconds=5):
    """Waits until every worker answers."""
    def answers():
        return all(it.new_client().ask("GET", sale.path).status == 200 for _ in range(20))
    until(answers, seconds, "all workers answer")


def kill(pids, number=signal.SIGKILL):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def one_of(pids):
    return dice.sample(pids, min(1, len(pids)))
