"""`poise run`: start a discovery and show it, in the dashboard or as progress lines."""

import os
from pathlib import Path
from typing import Any

import click

from engine.archive.folder import RUN_NAME, RunFolder, default_runs_dir, find_run
from engine.errors import Exit, PoiseError
from engine.profiles.schema import load_profile
from engine.search.models import parse_models
from poise_tui.client import EngineHandle, start_engine
from poise_tui.commands.common import (
    Amount,
    absolute_profile,
    on_terminal,
    runs_dir_option,
    terminal_options,
    weak_sandbox_option,
)
from poise_tui.commands.log import check_sinks, start_sinks
from poise_tui.terminal import TerminalOptions

LATER = {
    "ray_address": "--ray-address (trainings on a Ray cluster)",
}
"""Options whose names are settled and whose work is not there yet: refused, never ignored."""


@click.command("run")
@click.option(
    "--profile",
    default="tiny",
    show_default=True,
    metavar="NAME|FILE",
    help="What is trained on what; `tiny` runs on a CPU.",
)
@click.option("--root", type=click.Path(path_type=Path), metavar="FILE.py", help="Start from this algorithm, not GRPO.")
@click.option(
    "--from",
    "from_run",
    metavar="RUN",
    help="Start from an earlier run of the same protocol: its candidates are evidence, and parents to be.",
)
@click.option("--name", metavar="NAME", help="The run's id.  [default: profile, date and time]")
@click.option(
    "--candidates",
    type=click.IntRange(min=1),
    metavar="N",
    help="Nodes besides the root.  [default: the profile's]",
)
@click.option("--hours", type=Amount(), metavar="H", help="Stop proposing after H hours.")
@click.option("--gpu-hours", type=Amount(), metavar="H", help="Stop after H hours of GPUs together.")
@click.option("--usd", type=Amount(), metavar="X", help="Spend at most X on the model.")
@click.option("--directive", metavar="TEXT", help="What to look for, in words; every proposal is told.")
@click.option(
    "--llm",
    default="poise/composer",
    show_default=True,
    metavar="MODELS",
    help="Who proposes: LiteLLM names such as ollama/qwen3; `a,b` take turns by what they are worth, `a|b` asks b if a "
    "fails, `record:RUN` answers as in a recorded run. The default needs no key and no network.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    metavar="S",
    help="The same seed gives the same lineage.  [default: 0; with --from one not used there]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Trainings side by side.  [default: one a GPU, or one a core]",
)
@click.option(
    "--executor",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where trainings run.",
)
@click.option("--control", metavar="random=K", help="K more trainings of independent proposals, to compare with.")
@click.option(
    "--notes",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Your notes (*.md, *.txt): proposals read them.",
)
@click.option("--ray-address", metavar="URL", hidden=True)
@click.option(
    "--log-to", metavar="NAMES", help="Also tell tensorboard, trackio or wandb (with commas), where installed."
)
@click.option("--headless", is_flag=True, help="No dashboard: progress lines until the budget is used.")
@weak_sandbox_option
@terminal_options
@runs_dir_option
def run_command(
    headless: bool, terminal: TerminalOptions, log_to: str | None, runs_dir: Path | None, **options: Any
) -> Exit | None:
    """Start a discovery, and show it in the dashboard.

    Without a terminal, or with --headless, it prints progress lines until the run has ended; Ctrl-C stops
    the run gracefully, a second one leaves it running, and after a hang-up it waits on for the end, unseen.
    """
    sinks = check_sinks(log_to)
    request = make_request(default_runs_dir(runs_dir), **options)
    if headless or not on_terminal():
        return run_headless(request, sinks)
    from poise_tui.commands.dashboard import open_dashboard

    open_dashboard(starting=lambda: _started(request, sinks)[1], terminal=terminal)
    return None


def make_request(runs_dir: Path, **options: Any) -> dict[str, Any]:
    """The request to an engine, once everything that can be checked without one is.

    Raises:
        PoiseError: unknown profile, models that cannot be meant, taken name, unusable folder, or an option that does
            nothing yet.
    """
    for option, meaning in LATER.items():
        if options.pop(option) is not None:
            raise PoiseError(f"{meaning} is not available yet", Exit.USAGE)
    if options.pop("executor") != "local":
        raise PoiseError("--executor ray is not available yet: trainings run on this machine", Exit.USAGE)
    options["llm"] = parse_models(options["llm"]).spec
    load_profile(options["profile"])
    options["profile"] = absolute_profile(options["profile"])
    options["controls"] = controls_of(options.pop("control"))
    earlier = options.pop("from_run")
    options["from"] = str(find_run(earlier, runs_dir).path.resolve()) if earlier is not None else None
    notes = options["notes"]
    if notes is not None and not notes.is_dir():
        raise PoiseError(f"--notes {notes}: no such folder", Exit.USAGE)
    options["notes"] = str(notes.resolve()) if notes else None
    root = options["root"]
    if root is not None and not root.is_file():
        raise PoiseError(f"--root {root}: no such file", Exit.USAGE)
    name = options["name"]
    if name is not None:
        if not RUN_NAME.fullmatch(name):
            raise PoiseError(f"--name {name!r}: use letters, digits, '.', '_' and '-' (at most 64)", Exit.USAGE)
        if (runs_dir / name).exists():
            raise PoiseError(
                f"run {name} exists in {runs_dir}: choose another --name, or `poise resume {name}`",
                Exit.REFUSED,
            )
    check_writable(runs_dir)
    return {**options, "root": str(root.resolve()) if root else None, "runs_dir": str(runs_dir.absolute())}


def controls_of(control: str | None) -> int:
    """K of `--control random=K`; 0 without it.

    Raises:
        PoiseError: usage (2), it says something else.
    """
    if control is None:
        return 0
    kind, _, number = control.partition("=")
    if kind != "random" or not number.isdecimal() or not 1 <= int(number) <= 10_000:
        raise PoiseError(f"--control {control}: write random=K, K trainings of independent proposals", Exit.USAGE)
    return int(number)


def check_writable(folder: Path) -> None:
    """Whether runs can be made there, or the folder itself.

    Raises:
        PoiseError: refused (4).
    """
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not there.is_dir():
        raise PoiseError(f"{there} is a file: runs need a folder, give another --runs-dir", Exit.REFUSED)
    if not os.access(there, os.W_OK | os.X_OK):
        raise PoiseError(f"no permission to write in {there}: give another --runs-dir", Exit.REFUSED)


def _started(request: dict[str, Any], sinks: tuple[str, ...]) -> tuple[EngineHandle, RunFolder]:
    handle = start_engine(request)
    folder = RunFolder(handle.folder)
    start_sinks(folder, sinks)
    return handle, folder


def run_headless(request: dict[str, Any], sinks: tuple[str, ...] = ()) -> Exit:
    """Start a run and print its progress to the end."""
    from poise_tui.commands.headless import Signals, follow

    with Signals().watching() as signals:
        handle, folder = _started(request, sinks)
        print(f"{handle.run} in {handle.folder}", flush=True)
        return follow(folder, signals, handle)
