"""What behaves alike has one fingerprint, whatever it is called; what behaves otherwise anywhere has another."""

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.algorithms.catalogue import catalogue
from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts, StepStats
from engine.verify.case import Case, cast
from engine.verify.fingerprint import SPLIT, STEPS, fingerprint, signature
from engine.verify.regimes import regime, regimes
from tests.verify.library import algorithm, mechanism

GRPO = Algorithm("GRPO")
MIXED = (regime("mixed groups"),)


def named(name: str, **hooks: Callable[..., Any]) -> Mechanism:
    """A mechanism of that name with these hooks."""
    made = type(name, (Mechanism,), hooks)()
    assert isinstance(made, Mechanism)
    return made


def advantages(change: Callable[[Tensor], Tensor], name: str = "Change") -> Algorithm:
    def hook(self: Mechanism, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return change(inner(value))

    return algorithm(named(name, advantages=hook))


class OtherFlooredStd(Mechanism):
    """FlooredStd in other words: the square root of the mean squared deviation, then the floor."""

    def scale(self, r: Rollouts, centred: Tensor, inner: Inner) -> Tensor:
        x = r.grouped(r.shaped)
        deviation = torch.stack([row[~torch.isnan(row)].std(correction=0) for row in x])
        return r.spread(deviation.clamp(min=0.1))


class OwnClip(Mechanism):
    """GRPO's own surrogate in other words."""

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        low, high = 1 - m.hyper.clip_low, 1 + m.hyper.clip_high
        return torch.maximum(-ratio * m.advantages, -ratio.clamp(low, high) * m.advantages)


def test_duplicates_with_other_names_and_other_words_have_one_fingerprint() -> None:
    cases = regimes()
    twice = fingerprint(advantages(lambda a: 2 * a, "Twice"), cases)
    assert twice == fingerprint(advantages(lambda a: a + a, "Sum"), cases)
    assert twice == fingerprint(advantages(lambda a: a * 3 - a, "Roundabout"), cases)
    assert fingerprint(algorithm("FlooredStd"), cases) == fingerprint(algorithm(OtherFlooredStd()), cases)
    assert fingerprint(algorithm(OwnClip()), cases) == fingerprint(GRPO, cases)
    assert fingerprint(replace(algorithm("NoStd"), name="other"), cases) == fingerprint(algorithm("NoStd"), cases)


def test_duplicates_are_seen_in_batches_recorded_in_single_precision_too() -> None:
    cases = [cast(case, torch.float32) for case in regimes()]
    assert fingerprint(algorithm("FlooredStd"), cases) == fingerprint(algorithm(OtherFlooredStd()), cases)
    assert fingerprint(algorithm(OwnClip()), cases) == fingerprint(GRPO, cases)
    assert fingerprint(algorithm("FlooredStd"), cases) != fingerprint(GRPO, cases)


def test_every_mechanism_of_the_library_has_a_fingerprint_of_its_own() -> None:
    found: dict[str, list[str]] = {}
    for name in catalogue():
        found.setdefault(fingerprint(algorithm(name), regimes()), []).append(name)
    assert [names for names in found.values() if len(names) > 1] == []
    assert fingerprint(GRPO, regimes()) not in found


@pytest.mark.parametrize("change", [0.5, 1.001, -1.0, 2.0])
def test_any_factor_on_the_advantages_is_another_behaviour(change: float) -> None:
    assert fingerprint(advantages(lambda a: change * a), MIXED) != fingerprint(GRPO, MIXED)


def test_small_changes_of_small_terms_count() -> None:
    """The entropy bonus is a thousandth of the gradient; its quarter and its fifth are still told apart."""
    marks = {fingerprint(algorithm(mechanism("EntropyBonusScale", factor=f)), MIXED) for f in (0.25, 0.2, 4.0, 4.001)}
    assert len(marks) == 4
    marks = {fingerprint(algorithm(mechanism("KlScale", factor=f)), MIXED) for f in (0.0, 0.3, 0.301, 3.0)}
    assert len(marks) == 4


def test_rounding_noise_does_not_count() -> None:
    def shaken(a: Tensor) -> Tensor:
        g = torch.Generator().manual_seed(1)
        return a * (1 + 1e-14 * torch.randn(a.shape, generator=g, dtype=a.dtype))

    assert fingerprint(advantages(shaken), regimes()) == fingerprint(GRPO, regimes())
    assert fingerprint(advantages(lambda a: 1e-16 * a), MIXED) == fingerprint(advantages(lambda a: -0.0 * a), MIXED)


@pytest.mark.parametrize("names", itertools.permutations(("NoStd", "TokenMean", "KlScale", "AdaptiveEntropy")))
def test_the_order_of_mechanisms_that_commute_does_not_matter(names: tuple[str, ...]) -> None:
    reference = algorithm("NoStd", "TokenMean", "KlScale", "AdaptiveEntropy")
    assert fingerprint(algorithm(*names), regimes()) == fingerprint(reference, regimes())


def test_the_order_of_mechanisms_that_do_not_commute_matters() -> None:
    clipped_first = algorithm("AdvantageClip", "NegativeWeight")
    assert fingerprint(clipped_first, MIXED) != fingerprint(algorithm("NegativeWeight", "AdvantageClip"), MIXED)


def test_a_controller_shows_itself_by_what_it_does() -> None:
    marks = {t: fingerprint(algorithm(mechanism("AdaptiveEntropy", target=t)), MIXED) for t in (0.2, 0.3, 0.5)}
    assert len(set(marks.values())) == 3
    assert fingerprint(algorithm(mechanism("AdaptiveEntropy", target=0.3, step=0.004)), MIXED) not in marks.values()


def test_a_controller_that_nobody_reads_is_no_difference() -> None:
    def count(self: Mechanism, s: StepStats) -> None:
        s.state["updates"] = float(s.step)

    assert fingerprint(algorithm(named("Counter", on_optimizer_step=count)), regimes()) == fingerprint(GRPO, regimes())


FIGURES = ("step", "progress", "reward", "correct", "entropy", "kl", "length", "clip_fraction", "grad_norm")


@pytest.mark.parametrize("figure", FIGURES)
def test_whatever_figure_a_controller_follows_it_is_shown_moving(figure: str) -> None:
    shown: list[float] = []

    def note(self: Mechanism, s: StepStats) -> None:
        shown.append(getattr(s, figure))
        s.state["seen"] = shown[-1]

    def weigh(self: Mechanism, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        return inner(per_token) * (1.0 + (m.number("seen") if "seen" in m.state else 0.0))

    follower = algorithm(named("Follower", on_optimizer_step=note, weights=weigh))
    assert fingerprint(follower, MIXED) != fingerprint(GRPO, MIXED)
    assert len(set(shown)) > 1


def test_the_split_into_micro_batches_counts() -> None:
    local, whole = (signature(algorithm(n), MIXED) for n in ("LocalTokenMean", "TokenMean"))
    assert local["mixed groups"] == whole["mixed groups"]
    assert local[SPLIT] != whole[SPLIT]
    assert fingerprint(algorithm("LocalTokenMean"), MIXED) != fingerprint(algorithm("TokenMean"), MIXED)


def test_neither_moves_the_global_generator_nor_depends_on_it() -> None:
    whole = algorithm("MeanScale", "CovarianceClip", "AdaptiveEntropy")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = fingerprint(whole, regimes()), signature(whole, regimes())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert (fingerprint(whole, regimes()), signature(whole, regimes())) == first


def test_a_signature_is_small_json_and_comes_back_as_it_was() -> None:
    made = signature(algorithm("ValidityMask", "SoftGate", "AdaptiveEntropy"), regimes())
    text = json.dumps(made)
    assert len(text) < 6000
    assert json.loads(text) == made
    assert set(made) == {case.name for case in regimes()} | {SPLIT, STEPS}


def test_a_signature_keeps_policy_gradient_and_the_rest_apart() -> None:
    grpo, free = signature(GRPO, MIXED), signature(algorithm("KlScale"), MIXED)
    doubled = signature(advantages(lambda a: 2 * a), MIXED)
    for name in grpo:
        assert free[name]["policy"] == grpo[name]["policy"]
        assert free[name]["rest"] != grpo[name]["rest"]
        assert doubled[name]["policy"] == pytest.approx([2 * x for x in grpo[name]["policy"]], rel=1e-3)
        assert doubled[name]["rest"] == grpo[name]["rest"]


def test_a_case_without_whole_halves_is_not_split() -> None:
    one: Case = regime("one group (B = G)")
    assert fingerprint(algorithm("GroupRegression"), (one,))
    assert (
        signature(algorithm("GroupRegression"), (one,))[SPLIT]
        == signature(algorithm("GroupRegression"), (one,))[one.name]
    )


def test_both_take_a_small_part_of_a_second() -> None:
    whole = algorithm("ValidityMask", "SoftGate", "AdaptiveEntropy")
    fingerprint(whole, regimes()), signature(whole, regimes())
    began = time.process_time()
    fingerprint(whole, regimes()), signature(whole, regimes())
    assert time.process_time() - began < 0.3
