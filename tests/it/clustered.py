"""Cases on a Redis Cluster of this machine (nodes.py): what cluster.py, failover.py, promises.py and replicas.py share."""

import time

import harness
from nodes import Cluster
from tap import case, comment

nodes = Cluster()


def on_cluster(name):
    """A case whose it.redis is the cluster. The cluster is whole before it, and nodes that it killed come back afterwards."""
    def register(function):
        @case(name)
        def run(it):
            it.redis = nodes
            nodes.until_whole()
            try:
                function(it)
            except BaseException:
                nodes.print_logs(8)
                raise
            finally:
                for node in list(nodes.lost):
                    nodes.revive(node)
                if not it.workers("drain"):
                    it.dev("start", "drain")
    return register


def list_of(user):
    """The key of a customer's list of orders."""
    return "sk:u:{%d}" % user.id


def fence(sale, segment):
    return nodes("HGET", sale.key("s", segment), "fence")


def wait_for_replicas(it, count):
    """From now on hot workers confirm an order when so many replicas have it."""
    it.environment |= {"SECKILL_WAIT_REPLICAS": str(count), "SECKILL_WAIT_MS": "200"}
    it.restart("hot")


def main(**settings):
    """Runs the file's cases; the instance uses the cluster instead of a Redis of its own."""
    harness.exit_on_signals()
    began = time.monotonic()
    with nodes:
        comment(f"cluster: {time.monotonic() - began:.1f} s")
        harness.main(**{"SECKILL_REDIS": nodes.setting(), "SECKILL_REDIS_USER": "", "SECKILL_REDIS_PASSWORD_FILE": "",
                        "SECKILL_REDIS_TIMEOUT_MS": 1000} | settings)
