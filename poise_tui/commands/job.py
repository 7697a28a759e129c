"""`poise verify | train | score`: one job by hand, in a child that may import torch."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from engine.errors import Exit, PoiseError
from engine.generation.choice import settled
from engine.loop.machine import gpu_names
from engine.loop.seeds import train_seed
from engine.profiles.schema import load_profile
from poise_tui.commands.common import F, absolute_profile, weak_sandbox_option
from poise_tui.commands.describe import describe as description
from poise_tui.commands.report_lines import report_lines
from poise_tui.format import one_line

algorithm_argument = click.argument("file", type=click.Path(path_type=Path), metavar="FILE.py")


def json_option(function: F) -> F:
    """`--json`: the result as the engine gave it."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")(function)


@click.command("verify")
@click.argument("file", type=click.Path(path_type=Path), metavar="[FILE.py]", required=False)
@click.option("--profile", default="tiny", show_default=True, metavar="NAME|FILE", help="Whose batches it meets.")
@click.option("--describe", is_flag=True, help="List mechanisms and constants, of a file or the library.")
@weak_sandbox_option
@json_option
def verify_command(file: Path | None, profile: str, describe: bool, allow_weak_sandbox: bool, as_json: bool) -> None:
    """Verify that an algorithm file can train and does what it says.

    Ends with 0 if it passed, with 1 if not.
    """
    if describe:
        print(description(file, as_json))
        return
    if file is None:
        raise click.UsageError("give an algorithm file, or --describe for the library")
    request = {"algorithm": _existing_file(file), "profile": absolute_profile(profile)}
    load_profile(profile)
    result = run_job("verify", request | {"allow_weak_sandbox": allow_weak_sandbox})
    report = result["data"] if result["data"].get("checks") else done("verify", result)
    print(json.dumps(report, indent=2) if as_json else "\n".join(report_lines(report)))
    if not report["passed"]:
        raise PoiseError(f"{file} failed: {one_line(report['cause'])}")
    if not as_json:
        print(f"{file} passed")


@click.command("train")
@algorithm_argument
@click.option("--profile", default="tiny", show_default=True, metavar="NAME|FILE", help="What it is trained on.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="S")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR",
    help="Where adapter, metrics and samples go.  [default: FILE-PROFILE-seedS]",
)  # fmt: skip
@weak_sandbox_option
@json_option
def train_command(
    file: Path, profile: str, seed: int, out: Path | None, allow_weak_sandbox: bool, as_json: bool
) -> None:
    """Train one algorithm file on a profile, outside any run.

    Ctrl-C ends it at a checkpoint; the same command goes on from there.
    """
    algorithm, settings = _existing_file(file), load_profile(profile)
    folder = (out or Path(f"{file.stem}-{settings.name}-seed{seed}")).absolute()
    resolved = settled(settings.resolved(), bool(gpu_names()))
    _check_out(folder, {"algorithm": algorithm, "profile": resolved, "seed": train_seed(seed, "search", 0)})
    request: dict[str, Any] = {
        "algorithm": algorithm,
        "profile": absolute_profile(profile),
        "seed": seed,
        "out": str(folder),
    }
    request["allow_weak_sandbox"] = allow_weak_sandbox
    result = done("train", run_job("train", request))
    if as_json:
        print(json.dumps(result, indent=2))
        return
    print(f"{result['updates']} updates in {result['train_seconds']:.1f} s, adapter in {folder / result['adapter']}")
    print(f"score it with `poise score {out or folder.name}`")


@click.command("score")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--benchmarks", metavar="FOLDER|hub",
    help="Score on the paper's six benchmarks instead, from a folder of JSONL files or the hub.",
)  # fmt: skip
@weak_sandbox_option
@json_option
def score_command(folder: Path, benchmarks: str | None, allow_weak_sandbox: bool, as_json: bool) -> None:
    """Score a training on problems held out from it; DIR is `poise train`'s --out or a trial's folder."""
    if not folder.is_dir():
        raise PoiseError(f"no folder {folder}: give the --out of `poise train`, or a trial's folder", Exit.USAGE)
    if not (folder / "adapter").is_dir():
        raise PoiseError(f"no adapter in {folder}: its training has not ended", Exit.USAGE)
    request: dict[str, Any] = {"folder": str(folder.resolve()), "allow_weak_sandbox": allow_weak_sandbox}
    if benchmarks is not None:
        request["benchmarks"] = "" if benchmarks == "hub" else str(Path(benchmarks).absolute())
    result = done("score", run_job("score", request))
    if as_json:
        print(json.dumps(result, indent=2))
        return
    width = max(8, *map(len, result["benchmarks"]))
    for task, row in result["benchmarks"].items():
        low, high = row["ci"]
        spread = f"({low:.1f} to {high:.1f}, {row['n']} problems)"
        print(f"{one_line(task):>{width}}  {row['metric']:<8} {row['value']:5.1f}  {spread}")
    print(f"{'Overall':>{width}}  {'':<8} {result['overall']:5.1f}")


def run_job(verb: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run `python -P -m engine verb` in the foreground; its progress goes straight to our stderr.

    Returns:
        its result, see "Jobs" in docs/architecture.md.

    Raises:
        PoiseError: it died or printed no result.
        click.exceptions.Exit: it refused the request, and has said why on stderr itself.
    """
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "engine", verb, json.dumps(request)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as child:
        # Ctrl-C reaches the child too, which ends in order and says so; a SIGTERM is passed on.
        before = {
            signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
            signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: child.terminate()),
        }
        try:
            output, _ = child.communicate()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    if child.returncode < 0:
        raise PoiseError(f"the {verb} process was ended by {signal.Signals(-child.returncode).name}")
    if not output.strip():
        raise click.exceptions.Exit(child.returncode)
    try:
        result: dict[str, Any] = json.loads(output)
        if not isinstance(result["data"], dict):
            raise TypeError
    except (ValueError, KeyError, TypeError):
        raise PoiseError(f"the {verb} process printed no result: {one_line(output[:200])}") from None
    return result


def done(verb: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a job that ended in order.

    Raises:
        PoiseError: it did not.
    """
    status, cause = result["status"], result.get("cause")
    if status == "paused":
        raise PoiseError(f"{verb} ended at a checkpoint: the same command goes on from there")
    if status != "done":
        raise PoiseError(f"{verb} {status}: {one_line(cause)}" if cause else f"{verb} {status}")
    data: dict[str, Any] = result["data"]
    return data


def _check_out(folder: Path, training: Mapping[str, Any]) -> None:
    """Raise if a training there would overwrite, or go on from, something else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / "job.json").is_file():
        raise PoiseError(f"{folder} exists and holds no training: give another --out", Exit.REFUSED)
    if (folder / "adapter").exists():
        raise PoiseError(f"{folder} holds a finished training: give another --out", Exit.REFUSED)
    try:
        before = json.loads((folder / "job.json").read_text())
        same = all(before[key] == value for key, value in training.items())
    except (ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise PoiseError(
            f"{folder} holds the training of another file, profile or seed: give another --out", Exit.REFUSED
        )


def _existing_file(file: Path) -> str:
    if not file.is_file():
        raise PoiseError(f"no file {file}: give an algorithm file (see docs/contract.md)", Exit.USAGE)
    return str(file.resolve())
