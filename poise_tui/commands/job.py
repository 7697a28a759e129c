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
from engine.profiles.schema import load_profile
from poise_tui.commands.common import F, absolute_profile, clean

algorithm_argument = click.argument("file", type=click.Path(path_type=Path), metavar="FILE.py")


def json_option(function: F) -> F:
    """`--json`: the result as the engine gave it."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")(
        function
    )


@click.command("verify")
@algorithm_argument
@json_option
def verify_command(file: Path, as_json: bool) -> Exit:
    """Verify that an algorithm file can train: it loads, its stages fit, values are finite, gradients flow.

    Ends with 0 if it passed, with 1 if not.
    """
    result = run_job("verify", {"algorithm": _existing_file(file)})
    code = Exit.DONE if result["passed"] else Exit.ERROR
    if as_json:
        print(json.dumps(result, indent=2))
        return code
    for check in result["checks"]:
        print(f"{'ok' if check['passed'] else 'FAILED':>6}  {check['name']}: {clean(check['detail'])}")
    for mechanism in result["mechanisms"]:
        params = ", ".join(f"{key}={value}" for key, value in mechanism["params"].items())
        print(f"        {clean(mechanism['name'])}({clean(params)}) at {', '.join(mechanism['stages'])}")
    print(f"{file}: {'passed' if result['passed'] else 'failed: ' + clean(result['cause'])}")
    return code


@click.command("train")
@algorithm_argument
@click.option(
    "--profile", default="tiny", show_default=True, metavar="NAME|FILE", help="What it is trained on."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="S")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="DIR",
    help="Where adapter, metrics and samples go; made, or empty.  [default: FILE-PROFILE-seedS]",
)  # fmt: skip
@json_option
def train_command(file: Path, profile: str, seed: int, out: Path | None, as_json: bool) -> None:
    """Train one algorithm file on a profile, outside any run."""
    algorithm, name = _existing_file(file), load_profile(profile).name
    folder = (out or Path(f"{file.stem}-{name}-seed{seed}")).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PoiseError(f"{folder} exists and is not empty: give another --out", Exit.REFUSED)
    request = {"algorithm": algorithm, "profile": absolute_profile(profile), "seed": seed, "out": str(folder)}
    result = run_job("train", request)
    if as_json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"{result['updates']} updates in {result['train_seconds']:.1f} s, "
        f"adapter in {folder / result['adapter']}"
    )
    print(f"score it with `poise score {out or folder.name}`")


@click.command("score")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@json_option
def score_command(folder: Path, as_json: bool) -> None:
    """Score a training on problems held out from it; DIR is `poise train`'s --out or a trial's folder."""
    if not folder.is_dir():
        raise PoiseError(
            f"no folder {folder}: give the --out of `poise train`, or a trial's folder", Exit.USAGE
        )
    if not (folder / "adapter").is_dir():
        raise PoiseError(f"no adapter in {folder}: its training has not ended", Exit.USAGE)
    result = run_job("score", {"folder": str(folder.resolve())})
    if as_json:
        print(json.dumps(result, indent=2))
        return
    for task, row in result["benchmarks"].items():
        low, high = row["ci"]
        spread = f"({low:.1f} to {high:.1f}, {row['n']} problems)"
        print(f"{clean(task):>8}  {row['metric']:<8} {row['value']:5.1f}  {spread}")
    print(f"{'Overall':>8}  {'':<8} {result['overall']:5.1f}")


def run_job(verb: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run `python -P -m engine verb` in the foreground; its progress goes straight to our stderr.

    Returns:
        the data of its result.

    Raises:
        PoiseError: the job failed; if the child has said why on stderr itself, click's Exit with its code.
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
        status, cause = result["status"], result["cause"]
    except (ValueError, KeyError, TypeError):
        raise PoiseError(f"the {verb} process printed no result: {clean(output[:200])}") from None
    if status != "done":
        raise PoiseError(f"{verb} {status}: {clean(cause)}" if cause else f"{verb} {status}")
    data: dict[str, Any] = result["data"]
    return data


def _existing_file(file: Path) -> str:
    if not file.is_file():
        raise PoiseError(f"no file {file}: give an algorithm file (see docs/contract.md)", Exit.USAGE)
    return str(file.resolve())
