"""A pipeline that watches each hook: what it returns, what it changes, what it draws from.

A fault is blamed on the innermost hook that shows it, with its stage.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts, State, StepStats
from engine.stages import CONTROLLER
from engine.verify.finding import Finding


class Watched(Pipeline):
    """A pipeline whose hooks are checked while they run.

    Raises (from its methods):
        Finding: a hook broke a rule of the contract.
    """

    def __init__(self, algorithm: Algorithm, seed: int = 0) -> None:
        super().__init__(algorithm, seed)
        self.regime: str | None = None
        """Of the case that runs, for findings."""

    def call(self, m: Mechanism, stage: str, ctx: Rollouts | Minibatch, inner: Inner, value: Tensor) -> Tensor:
        """The hook's result, checked."""
        seen = [(name, x, x.detach().clone()) for name, x in (*_tensors(ctx), ("value", value))]
        random = torch.random.get_rng_state()
        try:
            result = super().call(m, stage, ctx, inner, value)
        except Finding:
            raise
        except Exception as e:  # candidate code may raise anything; all of it is a finding
            raise self._finding(m, stage, "a tensor", _told(e)) from e
        for name, x, before in seen:
            if not _same(x.detach(), before):
                raise self._finding(m, stage, "its inputs as they were", f"{name} changed in place")
        if not torch.equal(random, torch.random.get_rng_state()):
            raise self._finding(m, stage, "draws from ctx.generator", "a draw from torch's global generator")
        self._check_state(m, stage, ctx.state)
        self._check_value(m, stage, ctx, value, result)
        return result

    def control(self, m: Mechanism, stats: StepStats) -> None:
        """Let a controller see an update, and check what it did to its state."""
        try:
            super().control(m, stats)
        except Exception as e:
            raise self._finding(m, CONTROLLER, "a changed state or none", _told(e)) from e
        self._check_state(m, CONTROLLER, stats.state)

    def _check_state(self, m: Mechanism, stage: str, state: State) -> None:
        declared = set(m.initial_state())
        if set(state) != declared:
            names = ", ".join(sorted(set(state) ^ declared))
            raise self._finding(m, stage, f"the declared state ({', '.join(sorted(declared)) or 'none'})", names)
        for key, x in state.items():
            if not all(isinstance(v, (int, float)) for v in (x if isinstance(x, list) else [x])):
                raise self._finding(m, stage, "numbers or lists of numbers as state", f"{key} is a {type(x).__name__}")

    def _check_value(self, m: Mechanism, stage: str, ctx: Rollouts | Minibatch, value: Tensor, result: Any) -> None:
        if not isinstance(result, Tensor):
            raise self._finding(m, stage, "a tensor", type(result).__name__)
        shapes = _shapes(stage, ctx, value)
        if tuple(result.shape) not in shapes:
            raise self._finding(m, stage, f"shape {_spelled(shapes)}", f"shape {tuple(result.shape)}")
        dtypes = _dtypes(stage, ctx, value)
        if result.dtype not in dtypes:
            wanted = " or ".join(dict.fromkeys(_short(d) for d in dtypes))
            raise self._finding(m, stage, f"dtype {wanted}", f"dtype {_short(result.dtype)}")
        scorable = ~torch.isnan(ctx.rewards) if stage != "drop" else None
        bad = ~torch.isfinite(result) if stage != "drop" else torch.zeros((), dtype=torch.bool)
        if scorable is not None and bad.dim() and isinstance(ctx, Rollouts):
            bad = bad[scorable]
        if bad.any():
            example = "NaN" if torch.isnan(result).any() else "infinite numbers"
            raise self._finding(m, stage, "finite numbers", f"{example} ({int(bad.sum())} of {bad.numel()})")
        if stage == "scale" and (result[scorable] == 0).any():
            raise self._finding(m, stage, "a divisor that is nowhere zero", "zeros")

    def _finding(self, m: Mechanism, stage: str, expected: str, found: str) -> Finding:
        return Finding(expected, found, m.name, stage, self.regime)


def _tensors(ctx: Rollouts | Minibatch) -> Iterator[tuple[str, Tensor]]:
    for f in fields(ctx):
        value = getattr(ctx, f.name)
        if isinstance(value, Tensor):
            yield f.name, value
        elif f.name == "parts":
            yield from ((f"parts[{name!r}]", x) for name, x in value.items())


def _shapes(stage: str, ctx: Rollouts | Minibatch, value: Tensor) -> Sequence[tuple[int, ...]]:
    rows, tokens = tuple(ctx.rewards.shape), tuple(ctx.mask.shape)
    if stage in ("shape_rewards", "drop"):
        return (rows,)
    if stage in ("baseline", "scale", "advantages"):
        return (rows, tokens)
    if stage in ("aggregate", "regularize"):
        return ((),)
    if stage == "sampler_weight":
        return (rows, tokens, (rows[0], 1))
    return (tokens, (rows[0], 1))


def _dtypes(stage: str, ctx: Rollouts | Minibatch, value: Tensor) -> Sequence[torch.dtype]:
    """Precision a stage must keep; in the loss the advantages may be more precise than the model's outputs."""
    if stage == "drop":
        return (torch.bool,)
    if isinstance(ctx, Rollouts):
        return (ctx.rewards.dtype,)
    return (value.dtype, torch.promote_types(ctx.logp.dtype, ctx.advantages.dtype))


def _same(a: Tensor, b: Tensor) -> bool:
    return bool(((a == b) | ((a != a) & (b != b))).all())


def _told(error: BaseException) -> str:
    frames = reversed(traceback.extract_tb(error.__traceback__))
    line = next((f.lineno for f in frames if not any(d in f.filename for d in ("/engine/", "/torch/"))), None)
    text = str(error).splitlines()[0] if str(error) else ""
    hint = ""
    if "NoneType" in text:
        hint = " (old_logp is None on-policy and entropy always, unless needs_logp or needs_entropy is set; "
        hint += "ref_logp is None when beta is 0, sampler_logp without a sampler of its own)"
    return f"{type(error).__name__}{f' in line {line}' if line else ''}: {text}{hint}"


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _spelled(shapes: Sequence[tuple[int, ...]]) -> str:
    return " or ".join(dict.fromkeys(str(s) for s in shapes))
