"""Children in sandboxes of all sorts, each with a fork server that preloads next to nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from engine.process.executor import LocalExecutor
from engine.process.launch import Launcher
from engine.sandbox.layers import LAYERS, Sandbox
from engine.sandbox.probe import available

TESTS = Path(__file__).resolve().parents[1]
Inside = Callable[..., Awaitable[dict[str, Any]]]


def needs(*layers: str) -> pytest.MarkDecorator:
    """Leave a test out where the machine lacks a layer."""
    missing = set(layers or LAYERS) - available()
    return pytest.mark.skipif(bool(missing), reason=f"this machine has no {', '.join(sorted(missing))}")


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    """Run a function of tests/sandbox/inside.py in a sandbox and return the job's result."""
    launchers: list[Launcher] = []

    async def run(function: str, layers: frozenset[str] = available(), **fields: Any) -> dict[str, Any]:
        folder = tmp_path / "trials" / f"t{len(launchers)}"
        sandbox = Sandbox(layers, (tmp_path / "trials",), (TESTS,))
        sandbox.writable[0].mkdir(exist_ok=True)
        launcher = Launcher(["json"], sandbox=sandbox, allow_calls=True)
        launchers.append(launcher)
        kind = f"call:tests.sandbox.inside:{function}"
        limits = {"wall_seconds": 60, **fields.pop("limits", {})}
        job = {"id": "j", "kind": kind, "folder": str(folder), "read": [], "write": [], "limits": limits, **fields}
        return await LocalExecutor(launcher, grace=0.2).run(job)

    yield run
    for launcher in launchers:
        await launcher.close()
