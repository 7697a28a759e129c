"""Promises that every mechanism of the loss keeps, over every regime in which policy optimization is hard."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from engine.algorithms.catalogue import catalogue
from engine.algorithms.pipeline import Pipeline
from engine.algorithms.root import ROOT
from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts, StepStats
from engine.verify.behave import Behaviour, behave
from engine.verify.case import Case, cast, padded, reordered, with_loss_dtype
from engine.verify.regimes import regimes

MODULES = ("aggregation", "clipping", "divergence", "entropy", "losses", "ratios", "sampler", "token_weights")
CLASSES = [
    getattr(importlib.import_module(f"engine.algorithms.library.{e.module}"), e.name)
    for e in catalogue().values()
    if e.module in MODULES
]
PRECISIONS = {
    "float64": lambda case: case,
    "float32": lambda case: cast(case, torch.float32),
    "bf16 outputs": lambda case: with_loss_dtype(case, torch.bfloat16),
}
ROOT_ALGORITHM = Algorithm("GRPO")
every = pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)


class Watching(Pipeline):
    """Looks over the shoulder of every hook."""

    def call(self, m: Mechanism, stage: str, ctx: Rollouts | Minibatch, inner: Inner, value: Tensor) -> Tensor:
        held = dict(tensors(ctx))
        before = {name: x.detach().clone() for name, x in held.items()}
        given = value.detach().clone()
        result = super().call(m, stage, ctx, inner, value)
        assert torch.equal(value.detach().nan_to_num(), given.nan_to_num()), f"{stage} changed its value in place"
        for name, x in held.items():
            assert torch.equal(x.detach().nan_to_num(), before[name].nan_to_num()), f"{stage} changed {name} in place"
        wanted = {ROOT[stage](ctx, value).dtype} | ({value.dtype} if stage == "sampler_weight" else set())
        assert result.dtype in wanted, f"{stage} made {result.dtype} where GRPO makes {wanted}"
        assert torch.isfinite(result).all(), f"{stage} is not finite"
        return result


def tensors(ctx: Rollouts | Minibatch) -> Iterable[tuple[str, Tensor]]:
    for f in fields(ctx):
        value = getattr(ctx, f.name, None)
        if isinstance(value, Tensor):
            yield f.name, value


def ready(cls: type[Mechanism]) -> Pipeline:
    """A pipeline after one update of low entropy, to which a controller has reacted."""
    pipeline = Pipeline(Algorithm("t", (cls(),)), seed=1)
    pipeline.on_optimizer_step(StepStats(1, 0.1, 0.5, 0.3, 0.05, 0.01, 8.0, 0.1, 1.0))
    return pipeline


def finite(b: Behaviour) -> bool:
    return all(bool(torch.isfinite(x).all()) for x in (b.advantages, b.loss, b.grad_logp, b.grad_entropy))


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def bare(case: Case) -> Case:
    """Without GRPO's own entropy bonus, which is a mean over the micro-batch."""
    return replace(case, hyper=replace(case.hyper, entropy_coef=0.0))


@every
@pytest.mark.parametrize("precision", PRECISIONS.values(), ids=PRECISIONS.keys())
def test_it_is_finite_keeps_the_precision_and_changes_no_input(cls: type[Mechanism], precision: object) -> None:
    algorithm = Algorithm("t", (cls(),))
    for case in regimes():
        made = precision(case)  # type: ignore[operator]
        pipeline = Watching(algorithm, seed=1)
        for step in range(3):  # a controller must have had its say
            assert finite(behave(algorithm, made, pipeline=pipeline)), case.name
            pipeline.on_optimizer_step(StepStats(step, step / 3, 0.5, 0.3, 0.2 + step, 0.01, 8.0, 0.1, 1.0))


@every
def test_single_precision_gives_what_double_gives(cls: type[Mechanism]) -> None:
    for case in regimes():
        if case.name == "groups without any spread":
            continue  # GRPO divides rounding errors by its epsilon there
        algorithm = Algorithm("t", (cls(),))
        double, single = behave(algorithm, case).flat(), behave(algorithm, cast(case, torch.float32)).flat()
        assert (double - single).norm() <= 2e-5 * double.norm(), case.name


@every
def test_half_precision_outputs_change_the_gradient_by_little(cls: type[Mechanism]) -> None:
    """On the mixed groups: the ratio of bf16 log-probabilities is off by up to two percent."""
    case = next(iter(regimes()))
    rounded = with_loss_dtype(with_loss_dtype(case, torch.bfloat16), torch.float64)
    algorithm = Algorithm("t", (cls(),))
    exact, half = behave(algorithm, rounded).flat(), behave(algorithm, with_loss_dtype(case, torch.bfloat16)).flat()
    assert (exact - half).norm() <= 0.1 * exact.norm()


@every
def test_padding_columns_change_nothing(cls: type[Mechanism]) -> None:
    algorithm = Algorithm("t", (cls(),))
    for case in regimes():
        plain, wide = behave(algorithm, case), behave(algorithm, padded(case, 3))
        width = case.mask.shape[1]
        assert close(plain.loss, wide.loss), case.name
        assert close(plain.grad_logp, wide.grad_logp[:, :width]), case.name
        assert close(plain.grad_entropy, wide.grad_entropy[:, :width]), case.name
        assert not wide.grad_logp[:, width:].any(), case.name


@pytest.mark.parametrize("cls", [c for c in CLASSES if not c.local], ids=lambda c: c.__name__)
def test_the_order_of_groups_changes_nothing(cls: type[Mechanism]) -> None:
    algorithm = Algorithm("t", (cls(),))
    for case in regimes():
        size = case.hyper.group_size
        groups = torch.arange(len(case.correct)).view(-1, size)
        rows = groups.flip(0).flatten()
        plain, other = behave(algorithm, case), behave(algorithm, reordered(case, rows))
        assert close(plain.loss, other.loss), case.name
        assert close(plain.grad_logp[rows], other.grad_logp), case.name
        assert close(plain.grad_entropy[rows], other.grad_entropy), case.name


@pytest.mark.parametrize("cls", [c for c in CLASSES if not c.local], ids=lambda c: c.__name__)
def test_the_split_into_micro_batches_changes_nothing(cls: type[Mechanism]) -> None:
    algorithm = Algorithm("t", (cls(),))
    for case in map(bare, regimes()):
        if cls.whole_groups and len(case.correct) == case.hyper.group_size:
            continue  # one group cannot be split
        whole, halves = behave(algorithm, case).flat(), behave(algorithm, case, pieces=2).flat()
        assert close(whole, halves), case.name


@pytest.mark.parametrize("cls", [c for c in CLASSES if c.local], ids=lambda c: c.__name__)
def test_what_is_called_local_does_depend_on_the_split_or_on_chance(cls: type[Mechanism]) -> None:
    algorithm = Algorithm("t", (cls(),))
    pairs = ([behave(algorithm, case, pieces, pipeline=ready(cls)).flat() for pieces in (1, 2)] for case in regimes())
    assert any(not close(whole, halves) for whole, halves in pairs)


@every
def test_it_acts_in_at_least_one_regime(cls: type[Mechanism]) -> None:
    algorithm = Algorithm("t", (cls(),))
    distances = []
    for case in regimes():
        on, off = behave(algorithm, case, pipeline=ready(cls)).flat(), behave(ROOT_ALGORITHM, case).flat()
        distances.append(float((on - off).norm() / off.norm().clamp(min=1e-12)))
    assert max(distances) > 1e-3


@every
def test_its_docstring_says_what_where_from_how_and_when(cls: type[Mechanism]) -> None:
    what, formula, acts = (cls.__doc__ or "").strip().split("\n\n")
    assert "arXiv" in what or "DeepSeek-V3.2" in what
    assert what.rstrip().endswith(".")
    assert " = " in formula or "->" in formula
    assert acts.strip().startswith("Acts: ")


@every
def test_every_number_has_a_range_and_values_worth_trying_inside_it(cls: type[Mechanism]) -> None:
    bounds = cls.ranges()
    tunable = getattr(cls, "tunable", {})
    for name, default in cls().params().items():
        assert bounds[name].low <= default <= bounds[name].high
    for name, values in tunable.items():
        assert 2 <= len(values) <= 4
        for value in values:
            assert value != cls().params()[name]
            cls(**{name: value})
