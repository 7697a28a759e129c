"""State: declared, saved, and nowhere else. Five consecutive updates, twice over, and once through a checkpoint."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor

from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm
from engine.verify.behave import SEED, behave, update_figures
from engine.verify.checks import culprit, hooked
from engine.verify.finding import Finding
from engine.verify.regimes import regime

RUN = ("mixed groups", "all-fail, all-pass and mixed groups", "mixed groups", "far off-policy", "everything fails")
"""Regimes of five consecutive updates."""
BREAK = 2
"""Updates before the checkpoint."""


def updates(pipeline: Pipeline, first: int = 0, last: int = len(RUN)) -> list[Tensor]:
    """Gradients of consecutive updates, controllers included; the pipeline's state moves on."""
    seen = []
    for step, name in list(enumerate(RUN))[first:last]:
        case = replace(regime(name), step=step, progress=step / len(RUN))
        seen.append(behave(pipeline.algorithm, case, pipeline=pipeline).flat())
        pipeline.on_optimizer_step(update_figures(step))
    return seen


def two_runs_agree(algorithm: Algorithm, before: Mapping[str, str]) -> str:
    """Two trainings from the same start are the same, and nothing but the declared state remembers the first.

    Args:
        algorithm: what to run.
        before: `snapshot` of it when nothing had run yet.
    """
    once, again = updates(Pipeline(algorithm, SEED)), updates(Pipeline(algorithm, SEED))
    hidden = sorted(key for key, value in snapshot(algorithm).items() if before.get(key) != value)
    if hidden:
        name, stage = _owner(algorithm, hidden[0])
        expected = "no state but what initial_state() declares"
        raise Finding(expected, f"hidden state: {', '.join(hidden)} changed while it ran", name, stage)
    if not _equal(once, again):
        name = culprit(algorithm, _unsteady)
        expected = "two runs with one seed to be equal"
        raise Finding(expected, "two different ones: it is not deterministic", name, hooked(algorithm, name), RUN[0])
    return "five updates, twice"


def state_survives_a_checkpoint(algorithm: Algorithm) -> str:
    """Going on from a saved state after two updates gives the run that was never interrupted."""
    whole = updates(Pipeline(algorithm, SEED))
    stopped = Pipeline(algorithm, SEED)
    updates(stopped, last=BREAK)
    resumed = Pipeline(algorithm, SEED + 1)
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    if not _equal(whole[BREAK:], updates(resumed, first=BREAK)):
        name = culprit(algorithm, _forgetful)
        raise Finding("the same run after a checkpoint", "another one", name, hooked(algorithm, name))
    return "five updates, interrupted after two"


def _forgetful(algorithm: Algorithm) -> bool:
    try:
        state_survives_a_checkpoint(Algorithm(algorithm.name, algorithm.mechanisms))
    except Finding:
        return bool(algorithm.mechanisms)
    return False


def _unsteady(algorithm: Algorithm) -> bool:
    return not _equal(updates(Pipeline(algorithm, SEED)), updates(Pipeline(algorithm, SEED)))


def _owner(algorithm: Algorithm, place: str) -> tuple[str | None, str | None]:
    """The mechanism, and its hook, that a place of memory belongs to or is used by."""
    owner, _, member = place.partition(".")
    for m in algorithm.mechanisms:
        users = [s for s, hook in m.hooks().items() if member.removesuffix("()") in (s, *_used(hook))]
        if owner == m.name or users:
            return m.name, "+".join(users) or hooked(algorithm, m.name)
    return None, None


def _used(hook: Any) -> tuple[str, ...]:
    code = hook.__func__.__code__
    return (*code.co_names, *code.co_freevars)


def _equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def snapshot(algorithm: Algorithm) -> dict[str, str]:
    """Everything a candidate's code could remember in, spelled out: fields, class attributes, module variables,
    defaults and closures of functions.
    """
    places: dict[str, str] = {}
    for m in algorithm.mechanisms:
        for owner in (vars(m), vars(type(m))):
            places.update(_spelled_members(m.name, owner))
        module = sys.modules.get(type(m).__module__)
        if module is not None and module.__name__ == "candidate":
            places.update(_spelled_members("module", vars(module)))
    return places


def _spelled_members(owner: str, members: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in members.items():
        if not name.startswith("__"):
            yield f"{owner}.{name}", _spell(value)
        if isinstance(value, FunctionType):
            kept = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values(), *vars(value).values()]
            cells = [c.cell_contents for c in value.__closure__ or () if c.cell_contents is not value]
            yield f"{owner}.{name}()", _spell([*kept, *(c for c in cells if not isinstance(c, type))])


def _spell(value: Any, depth: int = 4) -> str:
    if isinstance(value, Tensor):
        return repr(value.detach().flatten().tolist())
    if isinstance(value, torch.Generator):
        return repr(value.get_state().tolist())
    if depth and isinstance(value, Mapping):
        return repr({str(k): _spell(v, depth - 1) for k, v in value.items()})
    if depth and isinstance(value, (list, tuple, set, frozenset)):
        return _spell_all(value, depth)
    if isinstance(value, (bool, int, float, str, bytes, type(None))):
        return repr(value)
    if depth and not isinstance(value, (type, FunctionType, ModuleType)):
        try:  # whatever pickle would keep of an object or an iterator
            return type(value).__name__ + _spell(value.__reduce_ex__(2)[1:], depth - 1)
        except TypeError:
            return type(value).__name__
    return type(value).__name__


def _spell_all(values: Iterable[Any], depth: int) -> str:
    return repr([_spell(v, depth - 1) for v in values])
