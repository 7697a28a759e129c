"""`poise import`: an algorithm file from a config of TRL."""

import sys
from pathlib import Path

import click

from engine.algorithms.from_trl import from_trl, read_config
from engine.algorithms.render import render
from engine.profiles.schema import load_profile
from poise_tui.format import one_line


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.yaml")
@click.option("--profile", default="tiny", show_default=True, metavar="NAME|FILE", help="Whose root it starts from.")
@click.option("--name", metavar="NAME", help="Of the algorithm.  [default: the file's]")
def import_command(file: Path, profile: str, name: str | None) -> None:
    """Print the algorithm file that does what a GRPOConfig of TRL asks for; FILE holds its arguments, YAML or JSON.

    Arguments left out are TRL's defaults, so that an empty config is DAPO's loss without KL. What no mechanism does is
    refused; what belongs to a profile (learning rate, group size, ...) is named on stderr.
    """
    train = load_profile(profile).resolved()["train"]
    found = from_trl(read_config(file), train)
    said = f"imported from {one_line(file.name)}, arguments of TRL's GRPOConfig, for profile {one_line(profile)}."
    print(render(name or f"{file.stem}-GRPO", said, found.mechanisms), end="")
    if found.elsewhere:
        print(f"not of the algorithm, set them in a profile: {one_line('; '.join(found.elsewhere))}", file=sys.stderr)
