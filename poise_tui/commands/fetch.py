"""`poise fetch`: bring a model from the hub once, at one commit, and a profile's data."""

import json
import subprocess
import sys

import click

from engine.errors import Exit, PoiseError
from engine.profiles.models_folder import is_hub_name
from engine.profiles.schema import TasksTable, load_profile


@click.command("fetch")
@click.argument("name", required=False, metavar="[OWNER/NAME]")
@click.option("--profile", metavar="NAME|FILE", help="Its model, at the revision that it names, and its data.")
@click.option("--revision", metavar="COMMIT", help="A commit, branch or tag.  [default: main, as it is now]")
def fetch_command(name: str | None, profile: str | None, revision: str | None) -> None:
    """Bring a model of the Hugging Face hub into the models folder ($POISE_MODELS, else the user's data folder).

    Runs never use the network for models: what they train lies there. A branch is resolved to its commit first; that
    commit is written down and printed as the line that pins it in a profile. What is there already stays as it is.
    """
    if (name is None) == (profile is None):
        raise PoiseError("give a model of the hub as owner/name, or --profile", Exit.USAGE)
    if profile is None:
        assert name is not None
        _bring_model(name, revision)
        return
    found = load_profile(profile)
    if is_hub_name(found.model.name):
        _bring_model(found.model.name, revision or found.model.revision)
    _bring_data(found.tasks)


def _bring_model(name: str, revision: str | None) -> None:
    from engine.profiles.fetch import fetch

    found = fetch(name, revision)
    print(f"{found.folder}: {'fetched' if found.new else 'there already'}")
    print(f'revision = "{found.revision}"' if found.revision else "its revision is not known: not fetched from the hub")


def _bring_data(tasks: TasksTable) -> None:
    command = [sys.executable, "-P", "-m", "engine.tasks.bring", tasks.name, json.dumps(tasks.options)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise PoiseError(
            lines[-1] if lines else f"the data of {tasks.name} could not be brought", Exit(done.returncode)
        )
    print(f"tasks {tasks.name}: all data are there")
