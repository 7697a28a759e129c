"""A real Ray cluster of several nodes on this machine, each with processes, sockets and a folder of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from benchmarks.ray_nodes import Nodes
from tests.run.conftest import finished, shared_world, world

__all__ = ["finished", "nodes", "shared_world", "world"]


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """An empty cluster."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    folder = tempfile.mkdtemp(prefix="poise-ray-", dir="/tmp")  # its sockets' paths must be short
    made = Nodes(folder)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)
