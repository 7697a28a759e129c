"""Bring a model of the Hugging Face hub into the models folder, at one commit: the only place that uses the network."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine.errors import Exit, PoiseError
from engine.profiles.models_folder import SOURCE, is_hub_name, models_folder, revision

FILES = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt")
"""All that loading needs; pickled weights are never brought."""


@dataclass(frozen=True)
class Fetched:
    """A model in the models folder; `revision` is None where nobody wrote down its commit."""

    folder: Path
    revision: str | None
    new: bool


def fetch(name: str, wanted: str | None = None) -> Fetched:
    """Bring a model, unless it is there already; then nothing is asked of the network.

    Args:
        name: `owner/name`.
        wanted: commit, branch or tag; None: what the hub's main branch is now. It is resolved to a commit first, and
            that commit is what is brought and written down.

    Raises:
        PoiseError: not a hub model's name (2), no such model or revision (3), no network, no safetensors.
    """
    if not is_hub_name(name):
        raise PoiseError(f"{name!r} is no model of the hub: give owner/name", Exit.USAGE)
    target = models_folder() / name
    if target.is_dir():
        found = revision(target)
        if wanted and wanted != found:
            raise PoiseError(
                f"{target} is revision {found or 'unknown'}: remove it to fetch {wanted} instead", Exit.REFUSED
            )
        return Fetched(target, found, False)
    import httpx
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        commit = HfApi().model_info(name, revision=wanted).sha
        assert commit is not None
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as place:
            made = Path(place) / "made"
            snapshot_download(name, revision=commit, local_dir=made, allow_patterns=list(FILES))
            shutil.rmtree(made / ".cache", ignore_errors=True)  # the downloader's own notes
            if not any(made.glob("*.safetensors")):
                raise PoiseError(f"{name} has no safetensors weights at {commit}: nothing is kept", Exit.NOT_FOUND)
            (made / SOURCE).write_text(
                json.dumps({"repo": name, "revision": commit, "files": "from the hub"}, indent=1)
            )
            made.rename(target)
    except (HfHubHTTPError, HFValidationError) as error:
        raise PoiseError(f"the hub refuses {name}{_at(wanted)}: {_first_line(error)}", Exit.NOT_FOUND) from None
    except (OfflineModeIsEnabled, ConnectionError, httpx.TransportError) as error:
        raise PoiseError(
            f"cannot reach the hub ({_first_line(error)}): offline, or HF_HUB_OFFLINE is set. Fetch {name} where "
            f"the hub is reached and copy its folder to {target}, or name a folder in the profile"
        ) from None
    return Fetched(target, commit, True)


def _at(wanted: str | None) -> str:
    return f" at {wanted}" if wanted else ""


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
