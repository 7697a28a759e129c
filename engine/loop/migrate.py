"""Bringing a run that an older version has made up to date, before its engine goes on with it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from engine.archive.events import Event
from engine.archive.files import write_atomic
from engine.archive.folder import RunFolder
from engine.archive.formats import FORMAT, complete
from engine.archive.store import Archive, Change
from engine.loop.config import RunConfig, write_config
from engine.profiles.schema import Profile

AS_BEFORE: dict[str, dict[str, Any]] = {
    "search": {"parents": 1, "population": 1},
    "search.weights": {"bayes": 0.0},
    "confirm": {"candidates": 0},
}
"""Keys that a profile may lack since they came later, with what an older version did without them."""


def migrate(folder: RunFolder, archive: Archive, config: RunConfig) -> RunConfig:
    """Bring a run to the present format; nothing happens to one that has it.

    Nothing is taken away: documents get the fields they lack, in one commit that is told as an event; the run.toml as
    it was stays as `run.format-N.toml`. Done again after a crash it changes nothing more.

    Args:
        folder: of the run.
        archive: open for writing.
        config: as run.toml has it.

    Returns:
        the configuration in the present format, which is in run.toml now.
    """
    if config.format >= FORMAT:
        return config
    updates = config.profile["train"]["updates"]
    added = complete(archive.run(), archive.candidates(), archive.trials(), updates)
    if added:
        names = sorted({field for _, _, fields in added for field in fields})
        told = f"migrated from format {config.format} to {FORMAT}: {len(added)} documents got {', '.join(names)}"
        changes = [Change(table, id, fields) for table, id, fields in added]
        archive.commit(changes, [Event("log", None, {"level": "info", "message": told})])
    kept = folder.path / f"run.format-{config.format}.toml"
    if not kept.exists():
        write_atomic(kept, folder.config.read_bytes())
    new = replace(config, profile=_profile(config.profile), format=FORMAT)
    write_config(folder, new)
    return new


def _profile(old: dict[str, Any]) -> dict[str, Any]:
    """A resolved profile with the keys it lacks: as the older version behaved, else this version's defaults."""
    filled = copy.deepcopy(old)
    for tables, values in AS_BEFORE.items():
        at = filled
        for table in tables.split("."):
            at = at.setdefault(table, {})
        at |= values | at
    return Profile.model_validate(filled).resolved()
