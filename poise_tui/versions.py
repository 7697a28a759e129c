"""The versions that matter: of this program, of what a number may hang on, of what a run's folder holds."""

import platform
from importlib.metadata import PackageNotFoundError, version

from engine.archive.formats import FORMAT
from engine.stages import CONTRACT_VERSION

PACKAGES = ("torch", "transformers", "trl", "peft", "litellm", "textual", "tinydb")
OPTIONAL = ("vllm", "ray")


def version_lines() -> list[str]:
    """A line each; read from what is installed, without importing it."""
    lines = [f"poise, version {_version('poise-tui')}", f"Python {platform.python_version()}"]
    lines += [f"{name} {_version(name)}" for name in PACKAGES]
    lines += [f"{name} {found}" for name in OPTIONAL if (found := _version(name)) != MISSING]
    return [*lines, f"algorithm contract {CONTRACT_VERSION}", f"run format {FORMAT}"]


MISSING = "is not installed"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return MISSING
