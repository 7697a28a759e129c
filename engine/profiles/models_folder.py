"""The models folder: where models of the Hugging Face hub lie, each in `owner/name`, put there by `poise fetch`.

Runs read it and never the network. Nothing heavy is imported.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

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
