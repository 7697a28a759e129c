"""Real runs for tests: a profile whose trainings take seconds, and the program as its users start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import tomli_w

from engine.archive.events import EventReader
from engine.archive.folder import RunFolder
from engine.profiles import schema

QUICK = {
    "updates": "8",
    "prompts_per_batch": "6",
    "group_size": "4",
    "checkpoint_every": "2",
    "sample_every": "2",
    "problems": "6",
    "samples": "4",
    "baseline_seeds": "2",
    "population": "4",
    "search.rungs.at": "[]",
    "confirm.candidates": "0",
}
"""Every candidate is trained to its end and nothing is confirmed; tests of rungs and studies say otherwise. Proposals
are chosen from four, as a language model's are."""
DEADLINE = 180.0


def profile(folder: Path, name: str = "quick", **changes: str) -> Path:
    """The tiny profile with other values (in TOML) of single keys, as a file of its own.

    A key is `table.key`; those of [train], [score], [search] and [limits] may stand alone.
    """
    values = tomllib.loads((Path(schema.__file__).parent / "tiny.toml").read_text())
    for key, value in {**QUICK, **changes}.items():
        *tables, last = key.split(".")
        table = values
        for inner in tables or [next(t for t in ("train", "score", "search", "limits") if key in values[t])]:
            table = table[inner]
        assert last in table, key
        table[last] = tomllib.loads(f"v = {value}")["v"]
    path = folder / f"{name}.toml"
    path.write_text(tomli_w.dumps(values))
    return path


@dataclass
class World:
    """One user's machine: a folder of runs and an environment."""

    path: Path
    extra: dict[str, str] = field(default_factory=dict)
    """Variables besides, or instead of, the usual ones."""

    @property
    def environment(self) -> dict[str, str]:
        runtime = self.path / "runtime"
        runtime.mkdir(mode=0o700, exist_ok=True)
        return {
            **os.environ,
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_DATA_HOME": str(self.path / "data"),
            "POISE_RUNS": str(self.path / "runs"),
            "OMP_NUM_THREADS": "1",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            **self.extra,
        }

    def poise(self, *arguments: str, timeout: float = DEADLINE) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        command = [sys.executable, "-P", "-m", "poise_tui", *arguments]
        return subprocess.run(
            command, env=self.environment, cwd=self.path, capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `poise run --headless`; its output goes to a file."""
        command = [sys.executable, "-P", "-m", "poise_tui", "run", "--headless", *arguments]
        with (self.path / "headless.log").open("w") as log:
            return subprocess.Popen(
                command, env=self.environment, cwd=self.path, stdout=log, stderr=subprocess.STDOUT, text=True
            )

    def folder(self, run: str) -> RunFolder:
        return RunFolder(self.path / "runs" / run)

    def export(self, run: str) -> dict[str, Any]:
        done = self.poise("export", run, "--format", "json")
        assert done.returncode == 0, done.stderr
        exported: dict[str, Any] = json.loads(done.stdout)
        return exported


def wait_for(what: Callable[[], Any], why: str, deadline: float = DEADLINE) -> Any:
    """Poll until `what()` is truthy; give it back."""
    end = time.monotonic() + deadline
    while not (found := what()):
        assert time.monotonic() < end, f"never happened: {why}"
        time.sleep(0.05)
    return found


class Events:
    """What a run's events have told so far."""

    def __init__(self, folder: RunFolder) -> None:
        self._reader = EventReader(folder.events)
        self.seen: list[Any] = []

    def update(self) -> list[Any]:
        self.seen += self._reader.read()
        return self.seen

    def wait(self, kind: str, node: str | None = None, after: int = 0, **data: Any) -> Any:
        """The first event of this kind, node and data with a number above `after`."""

        def match() -> Any:
            for e in self.update():
                known = e.seq > after and e.kind == kind and node in (None, e.node)
                if known and all(e.data.get(k) == v for k, v in data.items()):
                    return e
            return None

        return wait_for(match, f"{kind} {node} {data}; last: {[(e.kind, e.node) for e in self.update()[-3:]]}")


def engine_process(folder: RunFolder) -> psutil.Process:
    holder = wait_for(folder.engine, "an engine holds the lock")
    return psutil.Process(holder.identity.pid)
