"""Composition: what users may rely on when mechanisms meet."""

from __future__ import annotations

import json
from typing import Annotated

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.algorithms.catalogue import catalogue
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Range, Rollouts, State, StepStats
from engine.errors import PoiseError
from engine.verify.behave import behave
from engine.verify.case import minibatch, part_of, rollouts
from engine.verify.regimes import regime, regimes
from tests.verify.library import mechanism

TRANSFORMERS = (
    mechanism("NegativeWeight"),
    mechanism("CorrectnessGate"),
    mechanism("DualClip", cap=1.1),
    mechanism("EntropyBonusScale"),
    mechanism("KlScale", factor=2.0),
    mechanism("DropTruncated"),
    mechanism("AdvantageClip", limit=0.5),
    mechanism("OffPolicyMask", threshold=0.02),
)


class Doubled(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return 2 * inner(value)


class PlusOne(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) + 1


class Constant(Mechanism):
    level: Annotated[float, Range(-9.0, 9.0)] = 3.0

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return torch.full_like(r.rewards, self.level)


class Other(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return torch.full_like(r.rewards, 7.0)

    def baseline(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        return inner(rewards) * 0.5


class Counting(Mechanism):
    rows: int = 1

    def initial_state(self) -> State:
        return {"n": 0.0}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        r.state["n"] = r.number("n") + 1
        noise = torch.rand(len(value), generator=r.generator, dtype=value.dtype)
        return inner(value) + noise

    def on_optimizer_step(self, s: StepStats) -> None:
        s.state["n"] = s.number("n") + 100


def advantages(*mechanisms: Mechanism, order: dict[str, tuple[str, ...]] | None = None) -> Tensor:
    algorithm = Algorithm("t", mechanisms, order=order or {})
    return Pipeline(algorithm).advantages(rollouts(regime("mixed groups"))).values


def test_transformers_wrap_in_the_order_of_the_tuple_the_last_outermost() -> None:
    base = advantages()
    assert torch.equal(advantages(Doubled(), PlusOne()), 2 * base + 1)
    assert torch.equal(advantages(PlusOne(), Doubled()), 2 * (base + 1))


def test_a_replacer_stands_in_the_place_of_grpo_wherever_it_is_listed() -> None:
    assert torch.equal(advantages(Constant(), Doubled()), advantages(Doubled(), Constant()))
    assert (advantages(Constant(), Doubled()) == 6.0).all()


def test_two_replacers_of_one_stage_are_rejected_by_name() -> None:
    with pytest.raises(PoiseError, match="Constant and Other both replace the stage advantages"):
        Pipeline(Algorithm("t", (Constant(), Other())))


def test_two_replacers_may_meet_where_the_file_orders_them_and_the_last_stands() -> None:
    for last, value in (("Constant", 3.0), ("Other", 7.0)):
        first = {"Constant": "Other", "Other": "Constant"}[last]
        order = {"advantages": (first, last)}
        assert (advantages(Constant(), Other(), order=order) == value).all()
        assert (advantages(Other(), Constant(), Doubled(), order=order) == 2 * value).all()
    with pytest.raises(PoiseError, match="both replace"):
        advantages(Constant(), Other(), order={"advantages": ("Constant",)})


def test_a_mechanism_listed_twice_is_rejected() -> None:
    with pytest.raises(PoiseError, match="Doubled is listed twice"):
        Pipeline(Algorithm("t", (Doubled(), Doubled())))


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_switching_the_only_mechanism_off_gives_grpo(name: str) -> None:
    algorithm = Algorithm("t", (mechanism(name),)).without([name])
    for case in regimes():
        assert torch.equal(behave(algorithm, case).flat(), behave(Algorithm("GRPO"), case).flat())


def test_without_only_and_crossover_speak_of_mechanisms_by_name() -> None:
    mine = Algorithm("A", (Doubled(), Constant()), claims=("bounded_advantages",))
    other = Algorithm("B", (Constant(level=5.0), PlusOne(), Counting()))
    assert [m.name for m in mine.without(["Doubled"]).mechanisms] == ["Constant"]
    assert mine.without([]) == mine == mine.only(["Constant", "Doubled"])
    assert mine.only("Doubled").mechanisms == (Doubled(),)
    child = mine.crossover(other, ["PlusOne", "Constant"])
    assert (child.name, child.claims) == ("A x B", mine.claims)
    assert child.mechanisms == (Doubled(), Constant(level=5.0), PlusOne())
    for call in (mine.without, mine.only, lambda names: other.crossover(mine, names)):
        with pytest.raises(KeyError, match="A has no mechanism named Nope"):
            call(["Nope"])


@settings(max_examples=30, deadline=None)
@given(names=st.sets(st.sampled_from(range(len(TRANSFORMERS)))))
def test_only_is_without_the_rest(names: set[int]) -> None:
    algorithm = Algorithm("t", TRANSFORMERS)
    on = {TRANSFORMERS[i].name for i in names}
    assert algorithm.only(on) == algorithm.without({m.name for m in TRANSFORMERS} - on)


@settings(max_examples=30, deadline=None)
@given(chosen=st.sets(st.sampled_from(range(len(TRANSFORMERS))), min_size=2), data=st.data())
def test_any_subset_of_transformers_composes_and_any_one_can_go(chosen: set[int], data: st.DataObject) -> None:
    mechanisms = tuple(TRANSFORMERS[i] for i in sorted(chosen))
    gone = data.draw(st.sampled_from(mechanisms))
    left = Algorithm("t", tuple(m for m in mechanisms if m is not gone))
    for case in regimes()[:2]:
        off = behave(Algorithm("t", mechanisms).without([gone.name]), case).flat()
        assert torch.equal(off, behave(left, case).flat())


def test_constants_keep_to_their_type_and_range() -> None:
    assert Constant(level=-9).level == -9
    assert Constant.ranges() == {"level": Range(-9.0, 9.0)}
    with pytest.raises(ValueError, match=r"Constant\.level is 9\.5, outside -9\.0 to 9\.0"):
        Constant(level=9.5)
    with pytest.raises(TypeError, match=r"Constant\.level is True, not float"):
        Constant(level=True)
    with pytest.raises(TypeError, match=r"Counting\.rows is 1\.5, not int"):
        Counting(rows=1.5)  # type: ignore[arg-type]


def test_state_and_generator_survive_a_checkpoint_and_global_randomness_is_untouched() -> None:
    r = rollouts(regime("mixed groups"))
    first = Pipeline(Algorithm("t", (Counting(),)), seed=3)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first.advantages(r)
    assert torch.equal(before, torch.random.get_rng_state())
    second = Pipeline(Algorithm("t", (Counting(),)), seed=99)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert torch.equal(first.advantages(r).values, second.advantages(r).values)
    assert second.state_dict()["Counting"]["state"] == {"n": 2.0}


def test_a_mechanism_draws_the_same_numbers_whatever_stands_beside_it() -> None:
    alone, beside = advantages(Counting()), advantages(Counting(), PlusOne())
    assert torch.equal(alone + 1, beside)


def test_evaluation_freezes_state() -> None:
    frozen = Pipeline(Algorithm("t", (Counting(),)), frozen=True)
    frozen.advantages(rollouts(regime("mixed groups")))
    frozen.on_optimizer_step(StepStats(1, 0.1, 0, 0, 0, 0, 0, 0, 0))
    assert frozen.state_dict()["Counting"]["state"] == {"n": 0.0}


def test_a_hook_of_the_wrong_shape_is_named() -> None:
    class Summed(Mechanism):
        def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
            return inner(value).sum()

    with pytest.raises(PoiseError, match=r"stage advantages returned shape \(\)"):
        advantages(Summed())


@pytest.mark.parametrize("aggregate", [None, "ConstantLength", "TokenMean"])
def test_dropped_rows_leave_every_denominator(aggregate: str | None) -> None:
    """The loss over a batch with dropped rows is the loss over the rows that are left."""
    case = regime("all-fail, all-pass and mixed groups")
    rest = (mechanism(aggregate),) if aggregate else ()
    r = rollouts(case)
    dropped = (r.pass_rate() == 0) | (r.pass_rate() == 1)
    assert dropped.any() and not dropped.all()
    made = Pipeline(Algorithm("t", (mechanism("DropUniform"), *rest)))
    b = behave(made.algorithm, case)
    assert (b.grad_logp[dropped] == 0).all()
    m = minibatch(case, r, b.advantages, dropped)
    first, last = dropped.nonzero().min().item(), len(dropped)
    kept = [slice(i, i + 1) for i in range(last) if not dropped[i]]
    assert first < last and m.norm.rows == len(kept)
    sum_of_rows = sum(made.loss(part_of(m, rows, 1)).policy.item() for rows in kept)
    assert made.loss(m).policy.item() == pytest.approx(sum_of_rows, rel=1e-12)


def test_weights_touch_the_numerator_alone() -> None:
    class Half(Mechanism):
        def weights(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
            rows = torch.arange(len(per_token)) < len(per_token) // 2
            return inner(per_token) * rows.to(per_token.dtype).unsqueeze(1)

    case = regime("no KL (beta = 0)")
    root, half = behave(Algorithm("GRPO"), case).grad_logp, behave(Algorithm("t", (Half(),)), case).grad_logp
    rows = len(root) // 2
    assert torch.equal(half[:rows], root[:rows])
    assert (half[rows:] == 0).all()
