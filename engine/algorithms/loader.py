"""From a candidate's file to an `Algorithm`."""

from __future__ import annotations

import sys
import types
from pathlib import Path

from engine.algorithms.lint import read_source
from engine.contract import Algorithm, Mechanism
from engine.errors import PoiseError
from engine.stages import CONTROLLER, LOSS_STAGES, ROLLOUT_STAGES


def load_algorithm(path: Path) -> Algorithm:
    """Run an algorithm file and take what it calls `algorithm`. Call it only in a process that may be lost.

    Raises:
        PoiseError: the file is wrong; the line says where.
    """
    source = read_source(path)
    # dataclasses look their module up by name, so it must be a registered one.
    module = sys.modules["candidate"] = types.ModuleType("candidate")
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except PoiseError:
        raise
    except Exception as e:
        raise PoiseError(f"{path.name}{_where(e, path)}: {type(e).__name__}: {e}") from e
    algorithm = module.__dict__.get("algorithm")
    if not isinstance(algorithm, Algorithm):
        raise PoiseError(f"{path.name}: `algorithm` is a {type(algorithm).__name__}, not an Algorithm")
    if not isinstance(algorithm.mechanisms, tuple) or not all(isinstance(m, Mechanism) for m in algorithm.mechanisms):
        raise PoiseError(
            f"{path.name}: mechanisms must be a tuple of Mechanism instances, with a comma after a single one"
        )
    if not isinstance(algorithm.claims, tuple) or not all(isinstance(c, str) for c in algorithm.claims):
        raise PoiseError(f"{path.name}: claims must be a tuple of words, with a comma after a single one")
    for m in algorithm.mechanisms:
        known = (*ROLLOUT_STAGES, *LOSS_STAGES, CONTROLLER)
        if not any(hasattr(m, s) for s in known):
            raise PoiseError(f"{path.name}: {m.name} hooks no stage; stages are {', '.join(known)}")
    return algorithm


def _where(error: BaseException, path: Path) -> str:
    """`, line N` of the innermost frame inside the file."""
    line, tb = None, error.__traceback__
    while tb is not None:
        if tb.tb_frame.f_code.co_filename == str(path):
            line = tb.tb_lineno
        tb = tb.tb_next
    return f", line {line}" if line else ""
