"""Mechanisms of the library by name, wherever their file is."""

import importlib

from engine.algorithms.catalogue import catalogue
from engine.contract import Algorithm, Mechanism


def mechanism(name: str, **params: float) -> Mechanism:
    module = importlib.import_module(f"engine.algorithms.library.{catalogue()[name].module}")
    made = getattr(module, name)(**params)
    assert isinstance(made, Mechanism)
    return made


def algorithm(*mechanisms: Mechanism | str) -> Algorithm:
    """GRPO with these mechanisms; a name stands for the one with its default constants."""
    made = tuple(mechanism(m) if isinstance(m, str) else m for m in mechanisms)
    return Algorithm("+".join(m.name for m in made) or "GRPO", made)
