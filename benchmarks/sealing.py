"""What it costs to seal a checkpoint (sha256 of every file, fsync, manifest), beside the training it belongs to.

python -P -m benchmarks.sealing [--times 30] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from engine.algorithms.render import render
from engine.archive.folder import TrialFolder
from engine.profiles.schema import load_profile
from engine.training.checkpoints import MANIFEST, newest, seal


def main() -> None:
    """Train the tiny profile's root once, then seal fresh copies of its newest checkpoint."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--folder", help="on the disk that is to be measured")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="poise-seal-", dir=given.folder) as place:
        folder = Path(place)
        (folder / "grpo.py").write_text(render("GRPO", "the root", ()))
        command = [
            sys.executable,
            "-P",
            "-m",
            "poise_tui",
            "train",
            str(folder / "grpo.py"),
            "--out",
            str(folder / "out"),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        out = TrialFolder(folder / "out")
        training = float(json.loads((out.path / "result.json").read_text())["data"]["train_seconds"])
        checkpoint = newest(out.checkpoints)
        assert checkpoint is not None
        wall, cpu = measure(checkpoint, folder / "copies", given.times)
        files = [path for path in checkpoint.rglob("*") if path.is_file() and path.name != MANIFEST]
        size = sum(path.stat().st_size for path in files) / (1 << 20)
    train = load_profile("tiny").resolved()["train"]
    sealed = -(-train["updates"] // train["checkpoint_every"])
    print(f"checkpoint: {len(files)} files, {size:.2f} MiB; load {psutil.getloadavg()[0]:.1f}")
    print(f"sealing: {1000 * wall:.1f} ms (CPU {1000 * cpu:.1f} ms), median of {given.times}")
    print(f"training: {training:.1f} s, {sealed} checkpoints: {100 * sealed * wall / training:.2f} % of it is sealing")


def measure(checkpoint: Path, folder: Path, times: int) -> tuple[float, float]:
    """Median seconds, wall and CPU, to seal a checkpoint whose files were just written and are not on the disk yet."""
    walls, cpus = [], []
    for i in range(times):
        copy = folder / f"checkpoint-{i}"
        shutil.copytree(checkpoint, copy, ignore=shutil.ignore_patterns(MANIFEST))
        wall, cpu = time.perf_counter(), time.process_time()
        seal(copy, {"device": "cpu"})
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        shutil.rmtree(copy)
    return statistics.median(walls), statistics.median(cpus)


if __name__ == "__main__":
    main()
