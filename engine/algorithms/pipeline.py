"""Composition at run time: the stages of one algorithm as chains that end in GRPO's own stage."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from engine.algorithms.root import ROOT
from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts, State, StepStats
from engine.errors import PoiseError
from engine.stages import CONTROLLER, LOSS_STAGES, ROLLOUT_STAGES


@dataclass(frozen=True)
class Advantages:
    """What the rollout stages made of a batch."""

    values: Tensor
    """(B,) or (B,T)."""
    shaped: Tensor
    """(B,) shaped rewards."""
    dropped: Tensor
    """(B,) bool."""
    sampler_weight: Tensor | None
    """(B,), (B,1) or (B,T); None when it is all ones."""


@dataclass(frozen=True)
class Loss:
    """What the loss stages made of a micro-batch."""

    value: Tensor
    """Scalar to back-propagate; already divided for gradient accumulation."""
    policy: Tensor
    """Scalar without the regularizer, detached."""
    ratio: Tensor
    """(B,T) or (B,1), detached."""
    kl: Tensor | None
    """(B,T), detached; None when beta is 0."""


class Pipeline:
    """One algorithm made executable.

    Args:
        algorithm: what to run.
        seed: seeds each mechanism's own generator, together with its name.
        frozen: evaluation: hooks see copies of the state, and controllers do not run.

    Raises:
        PoiseError: two replacers of one stage, or two mechanisms of one name.
    """

    def __init__(self, algorithm: Algorithm, seed: int = 0, frozen: bool = False) -> None:
        self.algorithm = algorithm
        self.frozen = frozen
        names = [m.name for m in algorithm.mechanisms]
        if len(set(names)) < len(names):
            twice = sorted({n for n in names if names.count(n) > 1})
            raise PoiseError(f"{algorithm.name}: mechanism {', '.join(twice)} is listed twice")
        self._state: dict[str, State] = {m.name: m.initial_state() for m in algorithm.mechanisms}
        self._generators = {m.name: _generator(seed, m.name) for m in algorithm.mechanisms}
        self._chains = {s: _chain(algorithm, s) for s in (*ROLLOUT_STAGES, *LOSS_STAGES)}
        self.needs_entropy = any(m.needs_entropy for m in algorithm.mechanisms)
        self.needs_logp = any(m.needs_logp for m in algorithm.mechanisms)
        self.needs_whole_groups = any(m.whole_groups for m in algorithm.mechanisms)

    def advantages(self, r: Rollouts) -> Advantages:
        """Run the rollout stages on a whole batch."""
        shaped = self._run("shape_rewards", r, r.rewards)
        _shape("shape_rewards", shaped, r.rewards.shape)
        r.shaped = shaped
        dropped = self._run("drop", r, shaped).bool()
        _shape("drop", dropped, r.rewards.shape)
        baseline = self._run("baseline", r, shaped)
        _shape("baseline", baseline, r.rewards.shape, r.mask.shape)
        centred = (shaped if baseline.dim() == 1 else shaped.unsqueeze(1)) - baseline
        divisor = self._run("scale", r, centred)
        _shape("scale", divisor, r.rewards.shape, r.mask.shape)
        values = self._run("advantages", r, _per_row_or_token(centred, divisor))
        _shape("advantages", values, r.rewards.shape, r.mask.shape)
        # Rows whose every part is NaN cannot be scored: they must not move the policy.
        values = torch.where(_like(torch.isnan(r.rewards), values), torch.zeros_like(values), values)
        weight: Tensor | None = None
        if self._chains["sampler_weight"] or r.sampler_ratio is not None:
            weight = self._run("sampler_weight", r, values)
            _shape("sampler_weight", weight, r.rewards.shape, r.mask.shape, (len(r.rewards), 1))
        return Advantages(values, shaped, dropped, weight)

    def loss(self, m: Minibatch, sampler_weight: Tensor | None = None) -> Loss:
        """Run the loss stages on a micro-batch."""
        tokens, per_row = m.mask.shape, (m.mask.shape[0], 1)
        ratio = self._run("ratio", m, m.log_ratio())
        _shape("ratio", ratio, tokens, per_row)
        # KL before the surrogate and added per token: the order in which TRL's graph is bit-equal.
        kl = self._run("kl", m, ratio) if m.ref_logp is not None and m.hyper.beta != 0.0 else None
        per_token = self._run("surrogate", m, ratio)
        _shape("surrogate", per_token, tokens, per_row)
        if self._chains["weights"]:
            per_token = per_token * self._run("weights", m, per_token)
        if sampler_weight is not None:
            per_token = per_token * (sampler_weight if sampler_weight.dim() == 2 else sampler_weight.unsqueeze(1))
        if kl is not None:
            _shape("kl", kl, tokens, per_row)
            per_token = per_token + m.hyper.beta * kl
        aggregated = self._run("aggregate", m, per_token)
        _shape("aggregate", aggregated, ())
        value = aggregated
        if m.hyper.entropy_coef != 0.0 or self._chains["regularize"]:
            extra = self._run("regularize", m, aggregated)
            _shape("regularize", extra, ())
            value = aggregated + extra
        return Loss(value, aggregated.detach(), ratio.detach(), None if kl is None else kl.detach())

    def on_optimizer_step(self, stats: StepStats) -> None:
        """Let controllers see an update; nothing happens when frozen."""
        if self.frozen:
            return
        for m in self.algorithm.mechanisms:
            if m.controls():
                self.control(m, replace(stats, state=self._state[m.name]))

    def state_dict(self) -> dict[str, Any]:
        """Everything a checkpoint must hold, as JSON."""
        return {
            n: {"state": copy.deepcopy(self._state[n]), "generator": self._generators[n].get_state().tolist()}
            for n in self._state
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        for name, entry in saved.items():
            self._state[name] = entry["state"]
            self._generators[name].set_state(torch.tensor(entry["generator"], dtype=torch.uint8))

    def call(self, m: Mechanism, stage: str, ctx: Rollouts | Minibatch, inner: Inner, value: Tensor) -> Tensor:
        """One hook of one mechanism; verification watches here."""
        result: Tensor = getattr(m, stage)(ctx, value, inner)
        return result

    def control(self, m: Mechanism, stats: StepStats) -> None:
        """One controller's look at an update; verification watches here."""
        getattr(m, CONTROLLER)(stats)

    def _run(self, stage: str, ctx: Rollouts | Minibatch, value: Tensor) -> Tensor:
        root = ROOT[stage]

        def innermost(v: Tensor) -> Tensor:
            return root(ctx, v)

        inner: Inner = innermost
        for m in self._chains[stage]:
            state = self._state[m.name]
            seen = ctx.view(copy.deepcopy(state) if self.frozen else state, self._generators[m.name])
            inner = partial(self.call, m, stage, seen, inner)
        result = inner(value)
        if not isinstance(result, Tensor):
            raise PoiseError(f"stage {stage} returned {type(result).__name__}, not a tensor")
        return result


def _chain(algorithm: Algorithm, stage: str) -> tuple[Mechanism, ...]:
    hooked = [m for m in algorithm.mechanisms if hasattr(m, stage)]
    replacers = [m for m in hooked if m.replaces(stage)]
    order = tuple(algorithm.order.get(stage, ()))
    if len(replacers) > 1 and not {m.name for m in replacers} <= set(order):
        who = " and ".join(m.name for m in replacers)
        raise PoiseError(f"{algorithm.name}: {who} both replace the stage {stage}; keep one of them")
    if len(replacers) > 1:
        replacers.sort(key=lambda m: order.index(m.name))
    return (*replacers, *(m for m in hooked if m not in replacers))


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _per_row_or_token(centred: Tensor, divisor: Tensor) -> Tensor:
    if centred.dim() == divisor.dim():
        return centred / divisor
    return centred / divisor.unsqueeze(1) if divisor.dim() == 1 else centred.unsqueeze(1) / divisor


def _like(rows: Tensor, x: Tensor) -> Tensor:
    return rows if x.dim() == 1 else rows.unsqueeze(1)


def _shape(stage: str, x: Tensor, *allowed: Sequence[int]) -> None:
    if tuple(x.shape) not in [tuple(a) for a in allowed]:
        wanted = " or ".join(str(tuple(a)) for a in allowed)
        raise PoiseError(f"stage {stage} returned shape {tuple(x.shape)}, wanted {wanted}")


def stage_names(mechanisms: Sequence[Mechanism]) -> dict[str, list[str]]:
    """The stages each mechanism hooks, by its name."""
    return {
        m.name: list(m.hooks()) + (["on_optimizer_step"] if hasattr(m, "on_optimizer_step") else []) for m in mechanisms
    }
