"""How to repeat the run, and the algorithm to take away."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from engine.archive.files import read_limited
from engine.errors import PoiseError
from engine.profiles.schema import known_profiles
from engine.report.blocks import Block, Code, Heading, Table, Text
from engine.report.story import MOST_BYTES, Story, source_of
from engine.report.words import called, mechanism, mechanisms_of
from engine.untrusted import many_lines, one_line

PACKAGES = ("poise-tui", "torch", "transformers", "trl", "peft", "numpy", "scipy")


def repeat(story: Story) -> list[Block]:
    """The section's blocks."""
    protocol = one_line(story.run.get("protocol") or "unknown", 64)
    blocks: list[Block] = [Code(command(story.config) if story.config else f"poise status {story.run['id']}", "sh")]
    blocks.append(
        Text(
            f"Protocol {protocol}: a hash of the profile's model, tasks, training and scoring, the base model's "
            "weights, the machine's kind and the versions of torch, transformers, trl and peft. Scores of two runs "
            "are comparable only where it is the same. With the keyless composer the same seed gives the same "
            "lineage and, on a processor, the same weights bit for bit."
        )
    )
    blocks.append(Table(["package", "version where this report was made"], "ll", [[p, _version(p)] for p in PACKAGES]))
    blocks.append(Text(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}.", "muted"))
    try:
        text = many_lines(read_limited(story.folder.config, MOST_BYTES).decode("utf-8", "replace"))
    except (OSError, PoiseError) as error:
        return [*blocks, Text(f"run.toml cannot be read: {one_line(error)}")]
    return [*blocks, Heading("run.toml, as it was resolved when the run was begun"), Code(text, "toml")]


def command(config: Mapping[str, Any]) -> str:
    """The command line that begins such a run; a profile of one's own is named as the file it must be put in."""
    profile = config.get("profile", {}).get("name", "tiny")
    own = profile not in known_profiles()
    parts = ["poise", "run", "--profile", f"{profile}.toml" if own else profile]
    for option in ("candidates", "seed", "workers", "llm", "directive", "root", "hours", "gpu_hours", "usd", "notes"):
        value = config.get(option)
        if value or (option == "seed" and value is not None):
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            parts += [f"--{option.replace('_', '-')}", shown]
    if config.get("controls"):
        parts += ["--control", f"random={config['controls']}"]
    line = shlex.join(one_line(part) for part in parts)
    return f"# {profile}.toml: the table [profile] of run.toml below\n{line}" if own else line


def winner(story: Story) -> list[Block]:
    """The section's blocks: the best algorithm in full."""
    best = story.best
    if best is None:
        return [Text("There is no candidate with a score of a whole training yet.", "muted")]
    sure = (
        "It was confirmed." if best in story.confirmed else "It was not confirmed: it is the best by its search score."
    )
    blocks: list[Block] = [
        Text(f"{called(best)}. {sure}"),
        Text(one_line((best.get("proposal") or {}).get("hypothesis") or "", 2000)),
    ]
    mechanisms = [[mechanism(m)] for m in mechanisms_of(best)]
    if mechanisms:
        blocks.append(Table(["its mechanisms, added to GRPO in this order"], "l", mechanisms))
    blocks.append(Text("As one file that runs in plain TRL, importing nothing of POISE:"))
    blocks.append(Code(f"poise export {story.run['id']} --format trl --node {best['id']} > algorithm.py", "sh"))
    source = source_of(story, best["id"])
    if source is None:
        return [*blocks, Text("Its algorithm.py cannot be read.")]
    return [*blocks, Heading("algorithm.py"), Code(many_lines(source), "python")]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
