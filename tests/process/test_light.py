"""What the dashboard imports of the engine is light."""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
CLIENT_MODULES = [
    *("engine.archive.folder", "engine.archive.store", "engine.archive.events", "engine.archive.export"),
    *(
        "engine.archive.tail_metrics",
        "engine.process.lock",
        "engine.process.registry",
        "engine.process.control",
    ),
]
HEAVY = {"torch", "transformers", "trl", "litellm", "numpy", "asyncio", "pydantic", "psutil", "textual"}


def test_clients_import_nothing_heavy() -> None:
    """Neither torch nor even asyncio: the first frame must not wait for the engine's libraries."""
    script = f"import sys, {', '.join(CLIENT_MODULES)}\nprint(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr
