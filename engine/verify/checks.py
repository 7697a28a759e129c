"""The rules of the contract, each as a check that a sound algorithm passes in every regime.

A check returns one line for the report, or raises the `Finding` it made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from engine.contract import Algorithm, Mechanism
from engine.verify.behave import SEED, Behaviour, behave, update_figures
from engine.verify.case import Case, cast, padded, reordered, with_loss_dtype
from engine.verify.finding import Finding
from engine.verify.regimes import regime, regimes
from engine.verify.watch import Watched

SENSITIVE = ("mixed groups", "every row is truncated", "sampler differs from the trainer")
"""Regimes in which padding and order are changed."""
TOLERANCE = 1e-7
"""Relative to the largest gradient; double precision leaves 1e-15, a real difference far more."""


def hooks_keep_the_rules(algorithm: Algorithm, recorded: Sequence[Case] = ()) -> str:
    """Shapes, dtypes, finiteness, untouched inputs, declared state, no global randomness: watched at every hook."""
    pipeline = Watched(algorithm, SEED)
    in_float = [cast(case, torch.float32) for case in regimes()]
    in_bf16 = [
        replace(with_loss_dtype(cast(regime(name), torch.float32), torch.bfloat16), name=f"{name}, bf16")
        for name in ("mixed groups", "far off-policy")
    ]
    cases = [*in_float, *in_bf16, *regimes(), *recorded]
    for i, case in enumerate(cases):
        pipeline.regime = case.name
        try:
            b = behave(algorithm, case, pipeline=pipeline)
            pipeline.on_optimizer_step(update_figures(i % 5))
        except Finding:
            raise
        except Exception as e:
            raise Finding("a loss", f"{type(e).__name__}: {e}".splitlines()[0], regime=case.name) from e
        _finite(b, case, algorithm)
    return f"{len(cases)} batches: {len(regimes())} regimes in float32, float64 and bf16, {len(recorded)} recorded"


def advantages_reach_the_policy(algorithm: Algorithm) -> str:
    """Without KL and entropy bonus, which have gradients of their own, something must still move the policy."""
    largest = 0.0
    for case in regimes():
        bare = replace(case, hyper=replace(case.hyper, beta=0.0, entropy_coef=0.0))
        largest = max(largest, behave(algorithm, bare).grad_logp.abs().max().item())
    if largest == 0.0:
        mechanism = culprit(algorithm, lambda a: _silent(a))
        raise Finding("a gradient from the advantages to the policy", "none in any regime", mechanism)
    return f"largest {largest:.3g}"


def off_is_grpo(algorithm: Algorithm) -> str:
    """Switching every mechanism off gives GRPO's gradient to the last bit."""
    bare = algorithm.without(m.name for m in algorithm.mechanisms)
    for case in regimes():
        if not torch.equal(behave(bare, case).flat(), behave(Algorithm("GRPO"), case).flat()):
            raise Finding("GRPO's gradient with every mechanism off", "another one", regime=case.name)
    return f"GRPO to the last bit in {len(regimes())} regimes"


def padding_changes_nothing(algorithm: Algorithm) -> str:
    """Token columns that belong to no row, with garbage in them."""

    def failing(a: Algorithm) -> str | None:
        for name in SENSITIVE:
            case = regime(name)
            plain, wide = behave(a, case).grad_logp, behave(a, padded(case, 3)).grad_logp
            width = plain.shape[1]
            if wide[:, width:].abs().max() > 0:
                return name
            if not close(plain, wide[:, :width]):
                return name
        return None

    _blame(algorithm, failing, "the same gradient with three empty columns", "another one: something ignores the mask")
    return "three columns of garbage"


def order_changes_nothing(algorithm: Algorithm) -> str:
    """Order of groups, and of the rows in a group."""
    if not _sound(algorithm, "local").mechanisms and algorithm.mechanisms:
        return "not asked: every mechanism is `local`"

    def failing(a: Algorithm, inside: bool) -> str | None:
        for name in SENSITIVE:
            case = regime(name)
            rows = _shuffled(case, inside)
            if not close(behave(a, case).grad_logp[rows], behave(a, reordered(case, rows)).grad_logp):
                return name
        return None

    sound = _sound(algorithm, "local")
    _blame(
        sound, lambda a: failing(a, False), "no dependence on the order of groups", "another gradient for another order"
    )
    _blame(
        _sound(sound, "ordered"),
        lambda a: failing(a, True),
        "no dependence on the order of rows in a group (or `ordered = True`)",
        "another gradient for another order",
    )
    return "groups and rows reordered" + _spared(algorithm, "local", "ordered")


def split_changes_nothing(algorithm: Algorithm) -> str:
    """One optimizer step in one, two and four micro-batches; the entropy bonus is known to depend on it."""
    sound = _sound(algorithm, "local")

    def failing(a: Algorithm) -> str | None:
        for name in SENSITIVE:
            case = replace(regime(name), hyper=replace(regime(name).hyper, entropy_coef=0.0))
            whole = behave(a, case).grad_logp
            if not all(close(whole, behave(a, case, pieces=n).grad_logp) for n in (2, 4)):
                return name
        return None

    _blame(sound, failing, "no dependence on the micro-batch split (or `local = True`)", "another gradient when split")
    return "two and four micro-batches" + _spared(algorithm, "local")


def culprit(algorithm: Algorithm, failing: Callable[[Algorithm], object]) -> str | None:
    """The mechanism that fails alone, else the one without which the rest does not fail."""
    for m in algorithm.mechanisms:
        if failing(algorithm.only([m.name])):
            return m.name
    for m in algorithm.mechanisms:
        if not failing(algorithm.without([m.name])):
            return m.name
    return None


def close(a: Tensor, b: Tensor) -> bool:
    """Equal up to rounding."""
    return bool((a - b).abs().max() <= TOLERANCE * max(a.abs().max().item(), b.abs().max().item(), 1e-12))


def hooked(algorithm: Algorithm, name: str | None) -> str | None:
    """The stages of one mechanism, in one word."""
    mechanism = next((m for m in algorithm.mechanisms if m.name == name), None)
    return "+".join(mechanism.hooks()) if mechanism else None


def _blame(algorithm: Algorithm, failing: Callable[[Algorithm], str | None], expected: str, found: str) -> None:
    where = failing(algorithm)
    if where is not None:
        name = culprit(algorithm, failing)
        raise Finding(expected, found, name, hooked(algorithm, name), where)


def _finite(b: Behaviour, case: Case, algorithm: Algorithm) -> None:
    for what, x in (("advantages", b.advantages), ("loss", b.loss), ("gradient", b.flat())):
        if not torch.isfinite(x).all():
            name = culprit(algorithm, lambda a: not torch.isfinite(behave(a, case).flat()).all())
            raise Finding("finite numbers", f"a {what} that is not", name, hooked(algorithm, name), case.name)


def _silent(algorithm: Algorithm) -> bool:
    case = regime("no KL (beta = 0)")
    bare = replace(case, hyper=replace(case.hyper, entropy_coef=0.0))
    return bool(behave(algorithm, bare).grad_logp.abs().max() == 0)


def _sound(algorithm: Algorithm, tag: str) -> Algorithm:
    return algorithm.without(m.name for m in algorithm.mechanisms if getattr(m, tag))


def _spared(algorithm: Algorithm, *tags: str) -> str:
    spared: list[Mechanism] = [m for m in algorithm.mechanisms if any(getattr(m, t) for t in tags)]
    return "".join(f"; not asked of {m.name}" for m in spared)


def _shuffled(case: Case, inside: bool) -> Tensor:
    size = case.hyper.group_size
    groups = torch.arange(len(case.correct)).view(-1, size)
    return (groups.flip(1) if inside else groups.flip(0)).flatten()
