"""`poise fetch`: bring a model from the hub once, at one commit."""

import click

from engine.errors import Exit, PoiseError
from engine.profiles.models_folder import is_hub_name
from engine.profiles.schema import load_profile


@click.command("fetch")
@click.argument("name", required=False, metavar="[OWNER/NAME]")
@click.option("--profile", metavar="NAME|FILE", help="Its model, at the revision that it names.")
@click.option("--revision", metavar="COMMIT", help="A commit, branch or tag.  [default: main, as it is now]")
def fetch_command(name: str | None, profile: str | None, revision: str | None) -> None:
    """Bring a model of the Hugging Face hub into the models folder ($POISE_MODELS, else the user's data folder).

    Runs never use the network: what they train lies there. A branch is resolved to its commit first; that commit
    is written down and printed as the line that pins it in a profile. A model that is there already stays as it is.
    """
    if (name is None) == (profile is None):
        raise PoiseError("give a model of the hub as owner/name, or --profile", Exit.USAGE)
    if profile is not None:
        model = load_profile(profile).model
        if not is_hub_name(model.name):
            print(f"nothing to fetch: the model of {profile} is {model.name}")
            return
        name, revision = model.name, revision or model.revision
    assert name is not None
    from engine.profiles.fetch import fetch

    found = fetch(name, revision)
    print(f"{found.folder}: {'fetched' if found.new else 'there already'}")
    print(
        f'revision = "{found.revision}"'
        if found.revision
        else "its revision is not known: it was not fetched from the hub"
    )
