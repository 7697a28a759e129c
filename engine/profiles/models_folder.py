"""Where models are: those that come with the program, folders of the user's, and the models folder, which holds models
of the Hugging Face hub, each in `owner/name`, put there by `poise fetch`.

Runs read these and never the network. Nothing heavy is imported.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import Exit, PoiseError

SHIPPED = {"tiny": Path(__file__).parent / "tiny_model"}
"""Models that come with the program."""
SOURCE = "source.json"
"""Beside the weights: `{"repo", "revision", "files"}`, where they came from."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def is_hub_name(name: str) -> bool:
    """Whether this has the form of a hub model's name, `owner/name`."""
    return _HUB_NAME.fullmatch(name) is not None


def models_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """`$POISE_MODELS`, else `poise/models` in the XDG data folder."""
    if chosen := environ.get("POISE_MODELS"):
        return Path(chosen).expanduser().absolute()
    data = environ.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path there is invalid and must be ignored.
    base = Path(data) if data.startswith("/") else Path.home() / ".local" / "share"
    return base / "poise" / "models"


def revision(folder: Path) -> str | None:
    """The hub's commit that a fetched model is of; None where nobody wrote it down."""
    try:
        return str(json.loads((folder / SOURCE).read_text(encoding="utf-8"))["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def model_dir(profile_model: Mapping[str, Any]) -> Path:
    """The folder of `profile_model["name"]`: a shipped model's name, the path of a folder, or a hub model that has been
    fetched.

    Raises:
        PoiseError: there is no such folder, it holds no safetensors model, or it is of another revision than the
            profile's.
    """
    name = str(profile_model["name"])
    hub = is_hub_name(name)
    folder = models_folder() / name if hub else SHIPPED.get(name, Path(name))
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        known = ", ".join(SHIPPED)
        remedy = (
            f"`poise fetch {name}` brings it from the hub (runs never use the network), or copy its folder to {folder}"
            if hub
            else f"give {known}, a hub model as owner/name, or a folder with config.json and safetensors weights"
        )
        raise PoiseError(f"no model {name!r}: {remedy}", Exit.NOT_FOUND)
    wanted = profile_model.get("revision")
    if hub and wanted and (found := revision(folder)) != wanted:
        raise PoiseError(
            f"the model in {folder} is revision {found or 'unknown'}, the profile wants {wanted}: remove it and "
            f"`poise fetch {name} --revision {wanted}`",
            Exit.NOT_FOUND,
        )
    return folder
