"""What every mechanism of the rollout stages keeps to, in every regime."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engine.algorithms.catalogue import Entry, catalogue
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm
from engine.stages import ROLLOUT_STAGES
from engine.verify.behave import Behaviour, behave
from engine.verify.case import Case, cast, padded, reordered, rollouts, with_loss_dtype
from engine.verify.regimes import regime, regimes
from engine.verify.watch import Watched
from tests.verify.library import mechanism

FAMILIES = ("baselines", "drops", "efficiency", "lengths", "reweighting", "scales", "streams", "validity")
NAMES = sorted(e.name for e in catalogue().values() if e.module in FAMILIES)
STAGES = set(ROLLOUT_STAGES) - {"sampler_weight"}

every = pytest.mark.parametrize("name", NAMES)
GRPO = Algorithm("GRPO")


def alone(name: str) -> Algorithm:
    return Algorithm(name, (mechanism(name),))


def advantages(algorithm: Algorithm, case: Case) -> Tensor:
    pipeline = Pipeline(algorithm)
    return pipeline.advantages(rollouts(case, pipeline.needs_logp, pipeline.needs_entropy)).values


def tensors(case: Case) -> dict[str, Tensor]:
    fields = {name: x for name, x in vars(case).items() if isinstance(x, Tensor)}
    return fields | {f"parts[{name}]": x for name, x in case.parts.items()}


def test_there_are_forty_of_them_and_each_hooks_rollout_stages_alone() -> None:
    assert len(NAMES) >= 40
    assert {s for name in NAMES for s in catalogue()[name].stages} == STAGES


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_hooks_are_finite_of_the_right_shape_and_precision_and_change_no_input(name: str, dtype: torch.dtype) -> None:
    """Each hook apart, by the verifier's own watch; bf16 is that of the model's outputs under float32 rewards."""
    for case in regimes():
        given = with_loss_dtype(cast(case, torch.float32), dtype) if dtype == torch.bfloat16 else cast(case, dtype)
        before = {k: x.clone() for k, x in tensors(given).items()}
        pipeline = Watched(alone(name))
        values = pipeline.advantages(rollouts(given, pipeline.needs_logp, pipeline.needs_entropy)).values
        assert values.dtype == given.rewards.dtype
        assert torch.isfinite(values).all(), case.name
        assert all(torch.equal(x.nan_to_num(-7.0), before[k].nan_to_num(-7.0)) for k, x in tensors(given).items())


@every
def test_its_loss_and_gradient_are_finite_in_every_regime_over_five_batches(name: str) -> None:
    for case in regimes():
        pipeline = Pipeline(alone(name))
        for _ in range(5):
            b = behave(pipeline.algorithm, case, pipeline=pipeline)
            assert torch.isfinite(b.loss), case.name
            assert torch.isfinite(b.flat()).all(), case.name


@every
def test_float32_gives_what_float64_gives(name: str) -> None:
    for case in regimes():
        exact = advantages(alone(name), case)
        close = advantages(alone(name), cast(case, torch.float32)).double()
        assert torch.allclose(close, exact, rtol=2e-3, atol=5e-3), case.name


@every
def test_the_order_of_groups_changes_nothing(name: str) -> None:
    for case in regimes():
        size = case.hyper.group_size
        rows = torch.arange(len(case.correct)).view(-1, size).flip(0).flatten()
        moved = advantages(alone(name), reordered(case, rows))
        assert torch.allclose(moved, advantages(alone(name), case)[rows], rtol=1e-7, atol=1e-9), case.name


@every
def test_the_order_in_a_group_changes_nothing_unless_it_says_so(name: str) -> None:
    changed = False
    for case in regimes():
        rows = torch.arange(len(case.correct)).view(-1, case.hyper.group_size).flip(1).flatten()
        moved = advantages(alone(name), reordered(case, rows))
        changed |= not torch.allclose(moved, advantages(alone(name), case)[rows], rtol=1e-7, atol=1e-9)
    assert changed == mechanism(name).ordered


@every
def test_padding_columns_change_nothing(name: str) -> None:
    for case in regimes():
        plain, wide = behave(alone(name), case), behave(alone(name), padded(case, 3))
        columns = case.mask.shape[1]
        assert torch.allclose(wide.loss, plain.loss, rtol=1e-9, atol=1e-12), case.name
        assert torch.allclose(wide.grad_logp[:, :columns], plain.grad_logp, rtol=1e-7, atol=1e-10), case.name
        assert (wide.grad_logp[:, columns:] == 0).all()
        given, kept = wide.advantages[:, :columns] if wide.advantages.dim() == 2 else wide.advantages, plain.advantages
        token = case.mask.bool() if kept.dim() == 2 else torch.ones_like(kept, dtype=torch.bool)
        assert torch.allclose(given[token], kept[token], rtol=1e-7, atol=1e-9), case.name


@every
def test_it_acts_in_some_regime_with_every_value_worth_trying(name: str) -> None:
    variants = [{}, *({k: v} for k, values in catalogue()[name].tunable.items() for v in values)]
    for constants in variants:
        algorithm = Algorithm(name, (mechanism(name, **constants),))
        changes = (_differ(behave(algorithm, case), behave(GRPO, case)) for case in regimes())
        assert any(changes), constants


@every
def test_rows_that_cannot_be_scored_get_no_advantage_and_leave_the_others_theirs(name: str) -> None:
    """The others of their group still have a signal of their own, if they have one with the row scored."""
    case = regime("unscorable rows")
    nothing = torch.isnan(case.rewards)
    values = advantages(alone(name), case)
    assert (values[nothing] == 0).all()
    scored = advantages(alone(name), regime("mixed groups"))
    groups = nothing.view(-1, case.hyper.group_size).any(dim=1)
    for was, now in zip(_rows(scored, case)[groups], _rows(values, case)[groups], strict=True):
        assert (now != 0).any() or (was == 0).all()


@every
def test_it_is_documented_as_the_library_promises(name: str) -> None:
    it, entry = mechanism(name), catalogue()[name]
    does, formula, acts = (type(it).__doc__ or "").split("\n\n")
    assert "arXiv" in does and does.strip().endswith(".")
    assert " = " in formula or "->" in formula
    assert acts.strip().startswith("Acts: ")
    assert set(it.ranges()) == set(entry.params), "every constant has a range"
    assert set(entry.tunable) <= set(entry.params)
    for constant, values in entry.tunable.items():
        assert 2 <= len(values) <= 4 and entry.params[constant] not in values
        for value in values:
            mechanism(name, **{constant: value})


def _differ(a: Behaviour, b: Behaviour) -> bool:
    return not torch.allclose(a.flat(), b.flat(), rtol=1e-9, atol=1e-12)


def _rows(values: Tensor, case: Case) -> Tensor:
    rows = values if values.dim() == 1 else (values * case.mask).sum(dim=1)
    return rows.view(-1, case.hyper.group_size)


def test_families_are_complete() -> None:
    """No mechanism of a rollout stage stands in a file that these tests do not read, but for the sampler's weight."""
    others = [e for e in catalogue().values() if e.module not in FAMILIES]
    assert [e.name for e in others if _hooks_rollout(e)] == []


def _hooks_rollout(entry: Entry) -> bool:
    return bool(set(entry.stages) & STAGES)
