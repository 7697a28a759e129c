"""A Ray cluster on this machine: several nodes, each with processes and sockets of its own, that can be killed."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil

STORE_BYTES = 100_000_000
"""Of each node's object store."""


class Nodes:
    """A head without room for jobs, and nodes of one core that can be killed."""

    def __init__(self, folder: str) -> None:
        os.environ["RAY_TMPDIR"] = folder  # before ray looks: the address of the newest cluster is kept there
        os.makedirs(os.path.join(folder, "ray"), exist_ok=True)
        from ray.cluster_utils import Cluster

        common = {"object_store_memory": STORE_BYTES, "include_dashboard": False}
        self._common = common  # each node thinks the machine's memory is its own
        self._cluster = Cluster(initialize_head=True, head_node_args={**common, "num_cpus": 0}, shutdown_at_exit=True)

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self, cpus: int = 1) -> Any:
        """One more node."""
        return self._cluster.add_node(num_cpus=cpus, **self._common)

    def kill(self, node: Any) -> None:
        """As a power cut does: the node's processes and all they started get no last word."""
        processes = [entry.process.pid for entries in node.all_processes.values() for entry in entries]
        family = [p for pid in processes for p in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]
        for process in family:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        self._cluster.worker_nodes.discard(node)

    def pids(self, node: Any) -> list[int]:
        """Of a node's processes, those of its jobs included."""
        own = [entry.process.pid for entries in node.all_processes.values() for entry in entries]
        return [p.pid for pid in own for p in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]

    def close(self) -> None:
        self._cluster.shutdown()
