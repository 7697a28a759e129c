"""Composition: what users may rely on when mechanisms meet."""

from __future__ import annotations

import importlib
import inspect

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.algorithms.library.aggregation import AdaptiveEntropy, ConstantLength, EntropyBonusScale, KlScale, TokenMean
from engine.algorithms.library.baselines import FlooredStd, LeaveOneOut, MeanScale, NegativeWeight, NoStd
from engine.algorithms.library.signals import CorrectnessGate, DropTruncated, DropUniform, ValidityMask
from engine.algorithms.library.surrogates import ClipHigher, DualClip, SequenceRatio, SoftGate
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts, State, StepStats
from engine.errors import PoiseError
from engine.verify import probes
from engine.verify.verify import behave

LIBRARY = [
    cls
    for name in ("baselines", "signals", "surrogates", "aggregation")
    for cls in vars(importlib.import_module(f"engine.algorithms.library.{name}")).values()
    if inspect.isclass(cls) and issubclass(cls, Mechanism) and cls is not Mechanism
]
TRANSFORMERS = (
    NegativeWeight(),
    CorrectnessGate(),
    DualClip(cap=1.1),
    EntropyBonusScale(),
    KlScale(factor=2.0),
    DropTruncated(),
)


class Doubled(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return 2 * inner(value)


class PlusOne(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) + 1


class Constant(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return torch.full_like(r.rewards, 3.0)


class Counting(Mechanism):
    def initial_state(self) -> State:
        return {"n": 0.0}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        r.state["n"] += 1
        noise = torch.rand(len(value), generator=r.generator, dtype=value.dtype)
        return inner(value) + noise

    def on_optimizer_step(self, s: StepStats) -> None:
        s.state["n"] += 100


def advantages(*mechanisms: Mechanism, probe: int = 0) -> Tensor:
    return Pipeline(Algorithm("t", mechanisms)).advantages(probes.rollouts(probes.PROBES[probe])).values


def test_transformers_wrap_in_the_order_of_the_tuple_the_last_outermost() -> None:
    base = advantages()
    assert torch.equal(advantages(Doubled(), PlusOne()), 2 * base + 1)
    assert torch.equal(advantages(PlusOne(), Doubled()), 2 * (base + 1))


def test_a_replacer_stands_in_the_place_of_grpo_wherever_it_is_listed() -> None:
    assert torch.equal(advantages(Constant(), Doubled()), advantages(Doubled(), Constant()))
    assert (advantages(Constant(), Doubled()) == 6.0).all()


def test_two_replacers_of_one_stage_are_rejected_by_name() -> None:
    with pytest.raises(PoiseError, match="ClipHigher and SoftGate both replace the stage surrogate"):
        Pipeline(Algorithm("t", (ClipHigher(), SoftGate())))


def test_a_mechanism_listed_twice_is_rejected() -> None:
    with pytest.raises(PoiseError, match="Doubled is listed twice"):
        Pipeline(Algorithm("t", (Doubled(), Doubled())))


@pytest.mark.parametrize("mechanism", LIBRARY, ids=lambda c: c.__name__)
def test_switching_the_only_mechanism_off_gives_grpo(mechanism: type[Mechanism]) -> None:
    algorithm = Algorithm("t", (mechanism(),)).without([mechanism.__name__])
    for probe in probes.PROBES:
        assert torch.equal(behave(algorithm, probe).flat(), behave(Algorithm("GRPO"), probe).flat())


def test_switching_off_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError, match="Nope"):
        Algorithm("t", (NoStd(),)).without(["Nope"])


@settings(max_examples=30, deadline=None)
@given(chosen=st.sets(st.sampled_from(range(len(TRANSFORMERS))), min_size=2), data=st.data())
def test_any_subset_of_transformers_composes_and_any_one_can_go(chosen: set[int], data: st.DataObject) -> None:
    mechanisms = tuple(TRANSFORMERS[i] for i in sorted(chosen))
    gone = data.draw(st.sampled_from(mechanisms))
    left = Algorithm("t", tuple(m for m in mechanisms if m is not gone))
    for probe in probes.PROBES[:2]:
        off = behave(Algorithm("t", mechanisms).without([gone.name]), probe).flat()
        assert torch.equal(off, behave(left, probe).flat())


def test_state_and_generator_survive_a_checkpoint_and_global_randomness_is_untouched() -> None:
    r = probes.rollouts(probes.PROBES[0])
    first = Pipeline(Algorithm("t", (Counting(),)), seed=3)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first.advantages(r)
    assert torch.equal(before, torch.random.get_rng_state())
    second = Pipeline(Algorithm("t", (Counting(),)), seed=99)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.advantages(r).values, second.advantages(r).values)
    assert second.state_dict()["Counting"]["state"] == {"n": 2.0}


def test_evaluation_freezes_state() -> None:
    frozen = Pipeline(Algorithm("t", (Counting(),)), frozen=True)
    frozen.advantages(probes.rollouts(probes.PROBES[0]))
    frozen.on_optimizer_step(StepStats(1, 0.1, 0, 0, 0, 0, 0, 0, 0))
    assert frozen.state_dict()["Counting"]["state"] == {"n": 0.0}


def test_a_hook_of_the_wrong_shape_is_named() -> None:
    class Summed(Mechanism):
        def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
            return inner(value).sum()

    with pytest.raises(PoiseError, match=r"stage advantages returned shape \(\)"):
        advantages(Summed())


def test_dropped_rows_leave_every_denominator() -> None:
    """The loss over a batch with dropped rows is the loss over the rows that are left."""
    probe = probes.PROBES[1]
    for aggregate in ((), (ConstantLength(),), (TokenMean(),)):
        algorithm = Algorithm("t", (DropUniform(), *aggregate))
        b = behave(algorithm, probe)
        r = probes.rollouts(probe)
        dropped = (r.pass_rate() == 0) | (r.pass_rate() == 1)
        assert dropped.any() and not dropped.all()
        assert (b.grad_logp[dropped] == 0).all()
        made = Pipeline(Algorithm("t", aggregate))
        m, logp, _ = probes.minibatch(probe, r, b.advantages, dropped)
        left = probes.minibatch(probe, r, b.advantages, torch.zeros_like(dropped))[0]
        rows = ~dropped
        for name in ("logp", "old_logp", "ref_logp", "entropy", "mask", "advantages", "pass_rate"):
            setattr(left, name, getattr(left, name)[rows])
        assert m.norm.rows == rows.sum()
        left.norm = m.norm
        assert torch.allclose(made.loss(m).policy, made.loss(left).policy, rtol=1e-12)
        assert logp.requires_grad


def test_local_mechanisms_say_so_and_the_others_do_not_depend_on_the_split() -> None:
    """Cutting a batch in two micro-batches changes no gradient, except for mechanisms tagged `local`."""
    probe = probes.PROBES[0]
    for cls in LIBRARY:
        algorithm = Algorithm("t", (cls(),))
        whole = behave(algorithm, probe).grad_logp
        pipeline = Pipeline(algorithm)
        r = probes.rollouts(probe)
        made = pipeline.advantages(r)
        m, logp, _ = probes.minibatch(probe, r, made.values, made.dropped)
        total = torch.zeros(())
        for rows in (slice(0, 20), slice(20, 32)):
            total = total + pipeline.loss(_part(m, rows), _rows(made.sampler_weight, rows)).value * _share(m, rows, cls)
        (grad,) = torch.autograd.grad(total, logp)
        same = torch.allclose(whole, grad, rtol=1e-6, atol=1e-10)
        assert same or cls.local, cls.__name__


def _part(m: Minibatch, rows: slice) -> Minibatch:
    part = m.view(m.state, m.generator)
    for name in ("logp", "old_logp", "ref_logp", "entropy", "mask", "advantages", "rewards", "correct", "valid"):
        setattr(part, name, getattr(m, name)[rows])
    part.truncated, part.pass_rate, part.keep = m.truncated[rows], m.pass_rate[rows], _rows(m.keep, rows)
    return part


def _rows(x: Tensor | None, rows: slice) -> Tensor | None:
    return None if x is None else x[rows]


def _share(m: Minibatch, rows: slice, cls: type[Mechanism]) -> float:
    """A mean over rows is weighted by its rows; sums over a window's norm are not."""
    if m.keep is not None or cls is TokenMean:
        return 1.0
    return (rows.stop - rows.start) / len(m.rewards)


def test_floored_std_is_the_population_std_of_total_reward_with_a_floor() -> None:
    r = probes.rollouts(probes.PROBES[1])
    x = r.rewards.view(-1, 8)
    wanted = (x - x.mean(1, keepdim=True)) / x.std(1, correction=0, keepdim=True).clamp(min=0.1)
    assert torch.allclose(advantages(FlooredStd(sigma_min=0.1), probe=1), wanted.flatten(), atol=1e-9)


def test_rloo_is_dr_grpo_times_g_over_g_minus_one() -> None:
    assert torch.allclose(advantages(NoStd(), LeaveOneOut()), advantages(NoStd()) * 8 / 7)


@pytest.mark.parametrize(("rate", "fail", "success"), [(0, -1 / 3, None), (8, None, 1 / 3), (1, None, 2.0)])
def test_validity_mask_gives_the_papers_numbers(rate: int, fail: float | None, success: float | None) -> None:
    """G = 8, a = b = 1: -/+0.333 for all-fail and all-pass groups, 2.0 for one success in eight."""
    r = probes.rollouts(probes.PROBES[3])
    r.correct = (torch.arange(8) < rate).repeat(4)
    r.valid = torch.ones(32, dtype=torch.bool)
    got = Pipeline(Algorithm("t", (ValidityMask(),))).advantages(r).values
    for wanted, rows in ((fail, ~r.correct), (success, r.correct)):
        if wanted is not None:
            assert torch.allclose(got[rows], torch.tensor(wanted, dtype=got.dtype), atol=1e-9)


def test_maxrl_weighs_a_success_by_one_over_the_pass_rate() -> None:
    r = probes.rollouts(probes.PROBES[0])
    r.rewards = r.correct.double()
    r.shaped = r.rewards
    got = Pipeline(Algorithm("t", (MeanScale(p_min=0.01),))).advantages(r).values
    p = r.pass_rate()
    assert torch.allclose(got, (r.rewards - p) / p)


def test_gspo_has_one_ratio_a_sequence_the_geometric_mean() -> None:
    probe = probes.PROBES[0]
    r = probes.rollouts(probe)
    m, _, _ = probes.minibatch(probe, r, r.rewards, torch.zeros(32, dtype=torch.bool))
    ratio = Pipeline(Algorithm("t", (SequenceRatio(),))).loss(m).ratio
    row = (m.logp[0] - m.old_logp[0])[m.mask[0].bool()].mean().exp()
    assert ratio.shape == (32, 1)
    assert ratio[0, 0].item() == pytest.approx(row.item())


def test_the_adaptive_coefficient_rises_below_its_target_and_falls_above() -> None:
    pipeline = Pipeline(Algorithm("t", (AdaptiveEntropy(target=0.3, step=0.002),)))
    for entropy in (0.1, 0.1, 0.9):
        pipeline.on_optimizer_step(StepStats(1, 0.1, 0, 0, entropy, 0, 0, 0, 0))
    assert pipeline.state_dict()["AdaptiveEntropy"]["state"]["coefficient"] == pytest.approx(0.004)
