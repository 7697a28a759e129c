"""Attacks by what is left behind: files that the engine, the scorer or the dashboard read later."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests.attacks.attack import Job, attack, own

DEEP = 1200
READER = "the reader decides, not the operating system"


class _Opened:
    """Opens a file for writing when it is unpickled."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self._path, "w")


def _unpickled(world: Any, result: Mapping[str, Any]) -> str | None:
    from engine.errors import PoiseError
    from engine.scoring.adapter import read_weights

    adapter = Path(result["folder"], "adapter")
    if world.trusting:
        pickle.loads((adapter / "adapter_model.bin").read_bytes())
    else:
        with suppress(PoiseError):
            read_weights(adapter, {"a": ("F32", (1,))})
            return "the scorer took it for weights"
    return "code of the candidate ran in the scorer" if world.pwned.exists() else None


@attack(23, "a pickle in the place of weights", harm=_unpickled)
def pickled(job: Job) -> None:
    own(job, "adapter").mkdir()
    for name in ("adapter_model.bin", "adapter_model.safetensors"):
        own(job, "adapter", name).write_bytes(pickle.dumps(_Opened(job["pwned"])))


def _wild(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_wild, value.values()))
    if isinstance(value, list):
        return any(map(_wild, value))
    return isinstance(value, int | float) and not abs(value) < 1e300


def _wild_numbers(world: Any, result: Mapping[str, Any]) -> str | None:
    from engine.archive.tail_metrics import MetricsTail

    path = Path(result["folder"], "metrics.jsonl")
    if world.trusting:
        points = [json.loads(line) for line in path.read_text().splitlines()[:4]]
    else:
        points = MetricsTail(path).read()
    if any(_wild({k: v for k, v in point.items() if k != "reward"}) for point in points):
        return "numbers that nothing can plot are on record"
    return None


@attack(85, "metrics with NaN, infinities, integers of 4,000 digits, endless lines", harm=_wild_numbers)
def wild_metrics(job: Job) -> None:
    lines = ['{"step": 1, "loss": NaN}', '{"step": 2, "loss": 1e999, "parts": {"x": -Infinity}}']
    lines += ['{"step": 3, "loss": ' + "9" * 4000 + "}", '{"step": ' + "9" * 4000 + "}"]
    lines += ["[" * 8000, '{"step": "x"}', '{"step": 4, "parts": {"\\u001b[2J": 1}}', "x" * (1 << 20)]
    own(job, "metrics.jsonl").write_text("\n".join(lines) + "\n")


def _led_astray(world: Any, result: Mapping[str, Any]) -> str | None:
    """The engine asks the job to pause."""
    from engine.archive.files import write_atomic

    path = Path(result["folder"], "control")
    if world.trusting:
        path.write_text("pause")
    else:
        with suppress(OSError):
            write_atomic(path, b"pause", durable=False)
    return None  # the archive's canary tells


@attack(86, "`control` as a link to the archive: the engine overwrites its own", harm=_led_astray)
def linked_control(job: Job) -> None:
    own(job, "control").symlink_to(f"{job['run']}/archive.json")


def _scored(world: Any, result: Mapping[str, Any]) -> str | None:
    from engine.scoring.adapter import adapter_sha256

    adapter = Path(result["folder"], "adapter")
    if world.trusting:
        return (adapter / "adapter_model.safetensors").read_text()
    return "another's weights are scored as its own" if adapter_sha256(adapter) is not None else None


@attack(87, "`adapter/` as a link to a better candidate's", harm=_scored)
def linked_adapter(job: Job) -> None:
    own(job, "adapter").symlink_to(f"{job['other']}/adapter")


@attack(88, "weights as a link to a better candidate's", harm=_scored)
def linked_weights(job: Job) -> None:
    own(job, "adapter").mkdir()
    own(job, "adapter", "adapter_model.safetensors").symlink_to(f"{job['other']}/adapter/adapter_model.safetensors")


def _accepted(world: Any, result: Mapping[str, Any]) -> str | None:
    from engine.errors import PoiseError
    from engine.scoring.adapter import read_weights

    taken = []
    for path in sorted(Path(result["folder"]).glob("adapter-*")):
        with suppress(PoiseError):
            read_weights(path, {"a": ("F32", (4,))})
            taken.append(path.name)
    return f"accepted: {', '.join(taken)}" if taken else None


@attack(89, "weights whose header lies about lengths, places and types", harm=_accepted, alone=READER)
def lying_weights(job: Job) -> None:
    headers = {
        "long": (1 << 40, {}),
        "beyond": (None, {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 1 << 40]}}),
        "negative": (None, {"a": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}),
        "overlapping": (None, {"a": {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]}}),
        "other": (None, {"b": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}),
        "half": (None, {"a": {"dtype": "F16", "shape": [8], "data_offsets": [0, 16]}}),
        "true": (None, {"a": {"dtype": "F32", "shape": [4.0], "data_offsets": [False, 16]}}),
    }
    for name, (length, header) in headers.items():
        own(job, f"adapter-{name}").mkdir()
        told = json.dumps(header).encode()
        data = (length or len(told)).to_bytes(8, "little") + told + bytes(16)
        own(job, f"adapter-{name}", "adapter_model.safetensors").write_bytes(data)


def _shown(world: Any, result: Mapping[str, Any]) -> str | None:
    from engine.archive.folder import RunFolder
    from poise_tui.run_files import read_code, read_log, read_samples

    try:
        folder, trial = RunFolder(world.run), Path(result["folder"]).name
        read_code(folder, "c001"), read_samples(folder, trial), read_log(folder, trial)
    except Exception as error:
        return f"the dashboard fails: {type(error).__name__}: {error}"
    return None


@attack(90, "samples that break who shows them", harm=_shown, alone=READER)
def wild_samples(job: Job) -> None:
    good = {"step": 1, "task": "t", "problem": "p", "prompt": "p", "completion": "c", "reward": 1.0, "parts": {}}
    good |= {"correct": True, "valid": True, "truncated": False, "advantage": 0.0}
    lines = [
        json.dumps(good | {"step": 0}).replace('"step": 0', f'"step": {step}') for step in ("1e400", "NaN", "1e300")
    ]
    wilds: tuple[Job, ...] = ({"parts": 3}, {"step": None}, {"reward": 10**400}, {"prompt": {}})
    lines += [json.dumps(good | wild) for wild in wilds]
    lines += [json.dumps(good | {"parts": {"x": [1]}, "completion": "\x1b[2J" * 1000}), "[" * 9000, "7", '"x"']
    own(job, "samples.jsonl").write_text("\n".join([*lines, "x" * (1 << 20), *lines]) + "\n")


def _removed(world: Any, result: Mapping[str, Any]) -> str | None:
    """The engine lets the trial start anew."""
    from engine.archive.folder import RunFolder
    from engine.loop.runner import TrialRunner

    if world.trusting:
        shutil.rmtree(Path(result["folder"], "checkpoints").resolve())
        return None  # the canaries tell
    TrialRunner.start_anew(cast(TrialRunner, SimpleNamespace(folder=RunFolder(world.run))), Path(result["folder"]).name)
    return None


@attack(91, "`checkpoints/` as a link to a sibling's folder: the engine removes that one", harm=_removed)
def linked_checkpoints(job: Job) -> None:
    own(job, "checkpoints").symlink_to(f"{job['other']}/score")


def _cleaned(world: Any, result: Mapping[str, Any]) -> str | None:
    from engine.archive.folder import RunFolder
    from engine.loop.runner import TrialRunner

    folder = Path(result["folder"])
    engine = cast(TrialRunner, SimpleNamespace(folder=RunFolder(world.run)))
    try:
        if world.trusting:
            shutil.rmtree(folder / "score")
        else:
            TrialRunner.forget_scores(engine, folder.name)
    except RecursionError:
        return "the engine fails when it cleans up"
    finally:
        subprocess.run(["rm", "-rf", str(folder / "score")], check=False)
    return None


@attack(92, f"folders {DEEP} deep, to break who removes them", harm=_cleaned, limits={"folder_files": 10_000})
def deep_folders(job: Job) -> None:
    os.mkdir("score")
    os.chdir("score")
    for _ in range(DEEP):
        os.mkdir("d")
        os.chdir("d")


def _checked(world: Any, result: Mapping[str, Any]) -> str | None:
    """`poise doctor` looks at the seals of checkpoints."""
    from engine.training.checkpoints import facts

    checkpoint = Path(result["folder"], "checkpoints", "checkpoint-1")
    try:
        facts(checkpoint)
    except RecursionError:
        return "doctor fails when it looks at it"
    finally:
        subprocess.run(["rm", "-rf", str(checkpoint)], check=False)
    return None


@attack(98, f"folders {DEEP} deep in a checkpoint", harm=_checked, limits={"folder_files": 10_000}, alone=READER)
def deep_checkpoint(job: Job) -> None:
    checkpoint = own(job, "checkpoints", "checkpoint-1")
    checkpoint.mkdir(parents=True)
    (checkpoint / "manifest.json").write_text('{"files": {}, "facts": {}}')
    os.chdir(checkpoint)
    for _ in range(DEEP):
        os.mkdir("d")
        os.chdir("d")


def _names(world: Any, result: Mapping[str, Any]) -> str | None:
    from engine.training.checkpoints import furthest

    try:
        step = furthest(Path(result["folder"], "checkpoints"))
    except Exception as error:
        return f"the engine fails: {type(error).__name__}: {error}"
    return None if step < 1 << 31 else f"the engine believes in update {str(step)[:12]}"


@attack(93, "names of checkpoints with escapes, and with numbers of 200 digits", harm=_names, alone=READER)
def wild_names(job: Job) -> None:
    for name in ("checkpoint-\x1b[2J", "checkpoint-٣", "checkpoint-", f"checkpoint-{'9' * 200}", "checkpoint-1\n"):
        folder = own(job, "checkpoints", name)
        folder.mkdir(parents=True)
        (folder / "manifest.json").touch()
