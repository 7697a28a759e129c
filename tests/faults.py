"""`python -P -m tests.faults`: which test does which fault, and how often; the table of docs/reliability.md.

A test says so with `@pytest.mark.fault(numbers..., times=n)`; each parameter set counts, times the examples that
hypothesis tries.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from contextlib import redirect_stdout
from pathlib import Path

import pytest

FAULTS = {
    1: ("kill -9 in a loop of commits and compactions", "all acknowledged there, each event once"),
    2: ("kill or error at each write, fsync, rename, link, unlink", "old state or new, never unreadable"),
    3: ("power cut: a model at each call; a copy of a mounted ext4 image", "all acknowledged there"),
    4: ("end of the journal torn, zeroed, flipped, noise", "cut to the last good record, told, kept aside"),
    5: ("damage in the middle; damaged or missing snapshot", "only the records hit are lost, and told"),
    6: ("crash while compacting", "nothing lost, nothing twice"),
    7: ("full disk", "the run pauses, stays readable, goes on when there is space"),
    8: ("fsync or write fails with EIO", "read-only and loud, never acknowledged; exit code 1"),
    9: ("second engine or writer", "refused, the holder named"),
    10: ("stale lock: kill -9, reused pid, reboot", "taken over"),
    11: ("kill -9 of the engine in training", "no process left within 10 s; same end after resume"),
    12: ("kill -9 of a trainer", "started again, capped, then failed with the cause; the run goes on"),
    13: ("kill -9 or hang-up of the dashboard", "the run is unaffected"),
    14: ("reboot: all killed at once, unsynced files gone", "same end from the last whole checkpoint"),
    15: ("newest checkpoint damaged", "set aside, the one before"),
    16: ("SIGSTOPped or hanging trainer, job, fork server", "found by its steps, killed with its group, capped"),
    17: ("out of memory", "once with half the micro-batch, then infeasible; the next one clean"),
    18: ("NaN or divergence", "ends early, never best"),
    19: ("wall clock jumps by a day; a machine that stood still", "no false time-out, order kept"),
    20: ("language model silent, dripping, 429, 500, truncated", "bounded time and spend"),
    21: ("budget reached; crash between call and ledger", "never over, nothing paid twice"),
    25: ("20,000 candidates; floods of log and metrics", "flat latency; bounded memory, files, disk"),
}
ROOT = Path(__file__).parent


class Collected:
    """A plugin that counts the marked tests instead of running them."""

    def __init__(self) -> None:
        self.files: dict[int, set[str]] = defaultdict(set)
        self.quick: Counter[int] = Counter()
        self.slow: Counter[int] = Counter()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            for mark in item.iter_markers("fault"):
                for number in mark.args:
                    count = self.slow if item.get_closest_marker("slow") else self.quick
                    count[number] += mark.kwargs.get("times", 1) * examples(item)
                    self.files[number].add(item.path.stem)


def examples(item: pytest.Item) -> int:
    """How many examples hypothesis tries in a test; 1 of any other."""
    settings = getattr(getattr(item, "obj", None), "_hypothesis_internal_use_settings", None)
    return settings.max_examples if settings is not None else 1


def collect() -> Collected:
    """All marked tests. Raises RuntimeError if the tests cannot be collected."""
    found = Collected()
    marked = [str(path) for path in ROOT.rglob("test_*.py") if "mark.fault(" in path.read_text()]
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *marked], plugins=[found])
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"pytest --collect-only ended with code {code}")
    return found


def table(found: Collected) -> str:
    """The table, in Markdown."""
    lines = [
        "| | fault | promise | tests | in `make test` | in `make test-slow` |",
        "| ---: | --- | --- | --- | ---: | ---: |",
    ]
    for number, (fault, promise) in FAULTS.items():
        tests = ", ".join(sorted(name.removeprefix("test_") for name in found.files[number]))
        lines.append(
            f"| {number} | {fault} | {promise} | {tests} | {found.quick[number] or '-'} | {found.slow[number] or '-'} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(collect()))
