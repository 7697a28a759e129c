"""A run on a Ray cluster of nodes of one core on this machine: one of them is killed, or its pace is compared.

    python -P -m benchmarks.cluster kill --candidates 12        # 3 nodes; one is killed while it trains
    python -P -m benchmarks.cluster pace --candidates 6         # 2 nodes of one core against `--workers 2` here

Trainings of the profile `tiny` without confirmations, for `pace` of half their length and all to their end. `pace`
makes both runs at the same time, so that they also slow each other. Needs the extra `ray`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.ray_nodes import Nodes
from engine.archive.events import EventReader
from engine.archive.folder import RunFolder
from engine.profiles.schema import FOLDER

LATER = re.compile(r"/(c0(?:0[4-9]|[1-9]\d)-search-0)/")
"""Where a training of a candidate from the fourth on works."""


def profile(folder: Path, whole: bool) -> Path:
    """`tiny`, nobody confirmed and the root trained twice; every candidate to its end if `whole`."""
    text = (FOLDER / "tiny.toml").read_text().replace("candidates = 3", "candidates = 0")
    text = text.replace("baseline_seeds = 8", "baseline_seeds = 2")
    path = folder / "cluster.toml"
    path.write_text(text.replace("at = [0.08]", "at = []").replace("updates = 48", "updates = 24") if whole else text)
    return path


def start(runs: Path, name: str, path: Path, candidates: int, *more: str) -> subprocess.Popen[bytes]:
    """`poise run --headless`."""
    options = ["--name", name, "--profile", str(path), "--candidates", str(candidates), "--seed", "1", *more]
    command = [sys.executable, "-P", "-m", "poise_tui", "run", "--headless", "--runs-dir", str(runs), *options]
    return subprocess.Popen(command, env={**os.environ, "POISE_RUNS": str(runs)}, stdout=subprocess.DEVNULL)


def poise(*arguments: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-P", "-m", "poise_tui", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def on(nodes: Nodes) -> tuple[str, ...]:
    """Options of a run on a cluster."""
    return ("--executor", "ray", "--ray-address", nodes.address)


def kill(nodes: Nodes, runs: Path, candidates: int) -> None:
    """Kill the first node that is seen to train a candidate from the fourth on, and tell how the run ends."""
    there = [nodes.add() for _ in range(3)]
    began, victim = time.monotonic(), None
    run = start(runs, "killed", profile(runs, whole=False), candidates, *on(nodes))
    while run.poll() is None:
        time.sleep(0.5)
        for node in there if victim is None else ():
            found = next((m[1] for pid in nodes.pids(node) if (m := LATER.search(cwd(pid)))), None)
            if found is not None:
                nodes.kill(node)
                victim = node
                print(f"a node is killed after {time.monotonic() - began:.0f} s, with {found} on it", flush=True)
                break
    took = time.monotonic() - began
    events = EventReader(RunFolder(runs / "killed").events).read()
    for event in events:
        if event.kind == "log" and "started again" in str(event.data["message"]):
            print(event.data["message"])
    export = json.loads(poise("export", "killed", "--runs-dir", str(runs), "--format", "json"))
    statuses = [c["status"] for c in export["candidates"]]
    done = {status: statuses.count(status) for status in sorted(set(statuses))}
    report = poise("report", "killed", "--runs-dir", str(runs)).strip()
    print(f"run {export['run']['status']} after {took:.0f} s, exit {run.returncode}: {done}; report: {report}")


def cwd(pid: int) -> str:
    """Where a process works; nothing if it is gone."""
    try:
        return psutil.Process(pid).cwd() + "/"
    except psutil.Error:
        return ""


def pace(nodes: Nodes, runs: Path, candidates: int) -> None:
    """The same run here and on two nodes, at the same time: other work on the machine slows both alike."""
    for _ in range(2):
        nodes.add()
    path, rates = profile(runs, whole=True), {}
    begun = {
        name: start(runs / name, name, path, candidates, "--workers", "2", *more)
        for name, more in (("local", ()), ("ray", on(nodes)))
    }
    for name, run in begun.items():
        run.wait()
        events = EventReader(RunFolder(runs / name / name).events).read()
        scored = [e.time for e in events if e.kind == "trial.updated" and e.data.get("status") == "scored"]
        first = next(e.time for e in events if e.kind == "trial.metrics")
        rates[name] = len(scored) / (scored[-1] - first) * 3600
        print(
            f"{name}: {len(scored)} trainings and scorings, the last {scored[-1] - events[0].time:.0f} s after the "
            f"start, {scored[-1] - first:.0f} s after the first update; {rates[name]:.1f} an hour",
            flush=True,
        )
    ratio = rates["ray"] / rates["local"]
    print(f"ray / local: {ratio:.2f}; load {psutil.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def main() -> None:
    """Command line; see the head of this file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("kill", "pace"))
    parser.add_argument("--candidates", type=int, default=12)
    given = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory(prefix="poise-ray-", dir="/tmp") as folder:
        nodes = Nodes(folder)
        runs = Path(folder) / "runs"
        runs.mkdir()
        try:
            {"kill": kill, "pace": pace}[given.what](nodes, runs, given.candidates)
        finally:
            nodes.close()


if __name__ == "__main__":
    main()
