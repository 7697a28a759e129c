"""Where the real data lie beside a checkout; a user's checkout has none, and `$POISE_SHARED` names another place."""

import os
from pathlib import Path

import pytest

ROWS = {"aime24": 30, "aime25": 30, "amc": 83, "math500": 500, "minerva": 272, "olympiadbench": 675}


def shared_data() -> Path:
    """The folder `data`, or a skip that says where it was looked for."""
    root = Path(__file__).resolve().parents[2]
    named = os.environ.get("POISE_SHARED")
    places = [Path(named)] if named else [root.parent / "shared", root.parents[1] / "shared"]
    for place in places:
        if (place / "data" / "benchmarks").is_dir():
            return place / "data"
    pytest.skip(f"no shared data beside this checkout ({places[0]}): set POISE_SHARED")
