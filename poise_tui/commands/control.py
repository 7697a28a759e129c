"""`poise control`: a training on rewards that hold no information, which must gain nothing."""

import json
from typing import Any

import click

from engine.errors import PoiseError
from engine.profiles.schema import load_profile
from engine.tasks.controls import CONTROLS
from poise_tui.commands.common import absolute_profile, weak_sandbox_option
from poise_tui.commands.job import done, json_option, run_job


@click.command("control")
@click.argument("kind", type=click.Choice(list(CONTROLS)), metavar="random-reward|shuffled-answers")
@click.option("--profile", default="tiny", show_default=True, metavar="NAME|FILE", help="What it is trained on.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="S")
@weak_sandbox_option
@json_option
def control_command(kind: str, profile: str, seed: int, allow_weak_sandbox: bool, as_json: bool) -> None:
    """Train GRPO on rewards without information and see that it gains nothing.

    random-reward tosses a coin for every completion; shuffled-answers holds it against the answer of another problem.
    A score above the warm start means that something leaks into training: exit code 1.
    """
    load_profile(profile)
    request: dict[str, Any] = {"control": kind, "profile": absolute_profile(profile), "seed": seed}
    request["allow_weak_sandbox"] = allow_weak_sandbox
    found = done("control", run_job("control", request))
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        print(
            f"{kind}: Overall {found['overall']:.2f}, warm start {found['warm_start']:.2f}, "
            f"difference {found['difference']:+.2f} with standard error {found['standard_error']:.2f}: "
            f"{found['verdict']} the warm start"
        )
    if found["verdict"] == "above":
        raise PoiseError(f"{kind} scores above the warm start: something in this profile leaks into training")
