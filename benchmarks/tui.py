"""The dashboard in a real terminal against its budgets, and two other full-screen programs in the same harness.

    python -P -m benchmarks.tui [first] [keys] [open] [idle] [live] [day] [others] [--repeat 3]

first   first frame of `poise attach`
keys    key to paint with 2,000 nodes unfolded and 8 trainings of 10,000 updates, each key after new points of all
open    10,000 candidates on screen
idle    a finished run: bytes and processor time
live    everything live at 1 Hz: bytes and processor time
day     1,000,000 events followed as they are written: memory
others  nvitop and the demo of textual: first frame, keys, idle

Wall times are of a machine that other work may share: the load and the processor time stand beside them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from benchmarks.terminal import Terminal, summary
from benchmarks.tui_runs import LargeRun, a_day
from engine.process.lock import RunLock
from tests.dashboard import recorded

SIZES = ((24, 80), (50, 200))
MOVES = "jjjjjjjjkkkkjjjj"
"""What one presses most; on its own, since the budget is about it."""
OTHERS = ("G", "g", "m", "m", "m", "m", "]", "]", "]", "\t", "\t", "2", "3", "1", "h", "l", "\x04", "\x15")
"""The ends, metrics, tabs, panes, screens, folding, pages."""
Figures = dict[str, Any]


def attach(runs: Path, rows: int, columns: int, **environment: str) -> Terminal:
    """`poise attach` on the run there."""
    command = [sys.executable, "-P", "-m", "poise_tui", "attach", "recorded", "--runs-dir", str(runs)]
    return Terminal(command, rows, columns, **environment)


def first(runs: Path) -> Figures:
    """Start to first frame, and to the whole recorded run."""
    recorded.write(runs)
    found: Figures = {}
    for rows, columns in SIZES:
        terminal = attach(runs, rows, columns)
        frame = terminal.wait_for(lambda text: "candidates" in text)
        cpu = terminal.cpu()
        whole = terminal.wait_for(lambda text: "c004" in text)
        found[f"{columns}x{rows}"] = {"frame ms": 1000 * frame, "frame CPU ms": 1000 * cpu, "run ms": 1000 * whole}
        terminal.close()
    return found


def keys(runs: Path) -> Figures:
    """Key to paint; before each key every training has got a new point."""
    run = LargeRun(runs, nodes=2000, trainings=8, points=10_000)
    lock = RunLock.acquire(run.folder.lock, "nobody listens")
    found: Figures = {}
    for rows, columns in SIZES:
        run.tick()
        terminal = attach(runs, rows, columns)
        terminal.wait_for(lambda text: "12000 updates" in text)
        terminal.settle(1.5)
        for name, pressed in (("moves", MOVES), ("others", OTHERS)):
            painted = []
            for key in pressed:
                run.tick()
                terminal.swallow(0.6)
                painted.append(terminal.key(key))
            found[f"{columns}x{rows} {name}"] = summary(painted)
        found[f"{columns}x{rows} memory MB"] = terminal.memory()
        terminal.close()
    lock.release()
    return found


def open_large(runs: Path) -> Figures:
    """Start to 10,000 candidates on screen."""
    LargeRun(runs, nodes=10_000, ended=True)
    terminal = attach(runs, 50, 200)
    frame = terminal.wait_for(lambda text: "c000 GRPO" in text)
    whole = terminal.wait_for(lambda text: "/10000" in text and int(text.split("/10000")[0].split()[-1]) > 9990)
    found = {"first candidates ms": 1000 * frame, "all ms": 1000 * whole, "CPU ms": 1000 * terminal.cpu()}
    terminal.settle()
    found["memory MB"] = terminal.memory()
    terminal.close()
    return found


def idle(runs: Path) -> Figures:
    """A finished run of 2,000 on screen."""
    LargeRun(runs, nodes=2000, ended=True)
    found: Figures = {}
    for rows, columns in SIZES:
        terminal = attach(runs, rows, columns)
        terminal.wait_for(lambda text: "/2000" in text)
        terminal.settle(2.0)
        found[f"{columns}x{rows}"] = terminal.rates(20)
        terminal.close()
    return found


def live(runs: Path) -> Figures:
    """8 trainings that report once a second, and the machine."""
    run = LargeRun(runs, nodes=2000, trainings=8, points=10_000)
    lock = RunLock.acquire(run.folder.lock, "nobody listens")
    found: Figures = {}
    for rows, columns in SIZES:
        for colours in ("truecolor", "256"):
            environment = {} if colours == "truecolor" else {"COLORTERM": "", "TERM": "xterm-256color"}
            run.tick()
            terminal = attach(runs, rows, columns, **environment)
            terminal.wait_for(lambda text: "12000 updates" in text)
            terminal.settle(1.5)
            terminal.rates(2, run.tick)
            found[f"{columns}x{rows} {colours}"] = terminal.rates(15, run.tick)
            terminal.close()
    lock.release()
    return found


def day(runs: Path) -> Figures:
    """Memory while a million events pass by."""
    folder = recorded.write(runs, status="running")
    terminal = attach(runs, 50, 200)
    terminal.wait_for(lambda text: "c004" in text)
    found: Figures = {"events 0, MB": terminal.memory()}
    for written in a_day(folder, 1_000_000):
        size = folder.events.stat().st_size
        while _read_so_far(terminal) < size:
            terminal.swallow(0.2)
        if written % 250_000 < 50_000:
            terminal.swallow(2.0)
            found[f"events {written}, MB"] = terminal.memory()
    found["file MB"] = folder.events.stat().st_size / 1e6
    found["CPU s"] = terminal.cpu()
    terminal.close()
    return found


def _read_so_far(terminal: Terminal) -> int:
    """Bytes the dashboard has read from files since its start: no less than its place in the events."""
    io = dict(line.split(": ") for line in Path(f"/proc/{terminal.child.pid}/io").read_text().splitlines())
    return int(io["rchar"])


def others(_: Path) -> Figures:
    """Programs people know; nvitop only where it can run."""
    arrows = ("\x1b[B",) * 8 + ("\x1b[A",) * 8
    programs = {"textual demo": ([sys.executable, "-m", "textual"], "Textual", arrows)}
    programs["nvitop"] = ([sys.executable, "-m", "nvitop"], "NVITOP", arrows)
    found: Figures = {}
    for name, (command, wanted, pressed) in programs.items():
        for rows, columns in SIZES:
            terminal = Terminal(command, rows, columns)
            try:
                frame = terminal.wait_for(lambda text, wanted=wanted: wanted in text, 15)
                cpu = terminal.cpu()
                terminal.settle(1.0, 5.0)
                one = {"frame ms": 1000 * frame, "frame CPU ms": 1000 * cpu, **terminal.rates(10)}
                one |= summary([terminal.key(key) for key in pressed])
                found[f"{name} {columns}x{rows}"] = one
            except (SystemExit, OSError, psutil.Error):
                found[f"{name} {columns}x{rows}"] = f"does not run here: {terminal.text.strip()[:200]}"
            terminal.close()
    return found


PARTS: Mapping[str, Callable[[Path], Figures]] = {
    "first": first,
    "keys": keys,
    "open": open_large,
    "idle": idle,
    "live": live,
    "day": day,
    "others": others,
}


def median(found: list[Any]) -> Any:
    """Of every figure the median of its repetitions."""
    one = found[0]
    if isinstance(one, dict):
        return {name: median([f[name] for f in found if name in f]) for name in one}
    return one if isinstance(one, str) else round(statistics.median(found), 1)


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all without any")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each part but `day`; medians are shown")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for name in asked.parts or PARTS:
        found = []
        load = psutil.getloadavg()[0]
        began = time.monotonic()
        for _ in range(1 if name == "day" else asked.repeat):
            with tempfile.TemporaryDirectory(prefix="poise-bench-") as runs:
                found.append(PARTS[name](Path(runs)))
        told = {"load before": round(load, 1), "runs": len(found), "seconds": round(time.monotonic() - began)}
        print(json.dumps({name: {**told, **median(found)}}, indent=2), flush=True)


if __name__ == "__main__":
    main()
