"""What a candidate says of itself is confirmed or refuted by number, against GRPO's own."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts, StepStats
from engine.errors import PoiseError
from engine.verify import scenes
from engine.verify.claims import VOCABULARY, check
from engine.verify.vocabulary import WORDINGS, wording
from tests.verify.library import algorithm, mechanism

GRPO = Algorithm("GRPO")


class SilenceInvalid(Mechanism):
    """Rows that cannot be read are left out of the numerator."""

    def weights(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        return inner(per_token) * m.valid.unsqueeze(1).to(per_token.dtype)


class LongerIsBetter(Mechanism):
    """Adds length to the advantage."""

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) + r.lengths / r.hyper.max_length


class SilenceAllPass(Mechanism):
    """Groups without a failure say nothing."""

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return torch.where(r.pass_rate() == 1, 0.0, inner(value))


class Silence(Mechanism):
    """No row says anything."""

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return 0 * inner(value)


class Slow(Mechanism):
    """Counts updates with low entropy; the bonus grows with them."""

    def initial_state(self) -> dict[str, Any]:
        return {"low": 0.0}

    def regularize(self, m: Minibatch, loss: Tensor, inner: Inner) -> Tensor:
        return inner(loss) * (1 + 0.1 * m.number("low"))

    def on_optimizer_step(self, s: StepStats) -> None:
        s.state["low"] = s.number("low") + float(s.entropy < 0.1)


CONFIRMED = [
    ("raises_rare_successes", ("MeanScale",)),
    ("raises_rare_successes", ("HardPromptWeight",)),
    ("silent_on_all_fail", ("SilenceAllFail",)),
    ("silent_on_all_fail", ("DropUniform",)),
    ("silent_on_all_fail", ("CorrectnessGate",)),
    ("pushes_down_all_fail", ("ValidityMask",)),
    ("silent_on_all_pass", ("DropUniform",)),
    ("silent_on_all_pass", (SilenceAllPass(),)),
    ("lifts_all_pass", ("ValidityMask",)),
    ("stronger_on_successes", ("NegativeWeight",)),
    ("stronger_on_failures", (mechanism("NegativeWeight", factor=2.0),)),
    ("no_std_division", ("NoStd",)),
    ("no_std_division", ("BatchStd",)),
    ("bounded_advantages", ("AdvantageClip",)),
    ("penalises_length", ("SolvedLengthPenalty",)),
    ("penalises_length", ("SoftOverlong",)),
    ("rewards_length", (LongerIsBetter(),)),
    ("length_only_when_correct", ("SolvedLengthPenalty",)),
    ("length_only_when_correct", ("CorrectnessGate",)),
    ("penalises_truncated", ("SoftOverlong",)),
    ("ignores_truncated", ("DropTruncated",)),
    ("penalises_invalid", ("InvalidPenalty",)),
    ("penalises_invalid", ("ValidityMask",)),
    ("ignores_invalid", (SilenceInvalid(),)),
    ("keeps_gradient_of_clipped_tokens", ("ClippedWeight",)),
    ("keeps_gradient_of_clipped_tokens", ("SoftGate",)),
    ("bounds_extreme_ratios", ("DualClip",)),
    ("bounds_extreme_ratios", ("ClippedWeight",)),
    ("sequence_level_ratio", ("SequenceRatio",)),
    ("sequence_level_ratio", ("SequenceRatio", "SequenceClip")),
    ("distrusts_off_policy_rows", ("OffPolicyMask",)),
    ("favours_uncertain_tokens", ("TopEntropyTokens",)),
    ("long_rows_weigh_more", ("TokenMean",)),
    ("long_rows_weigh_more", ("ConstantLength",)),
    ("weakens_kl", ("KlScale",)),
    ("weakens_kl", ("UnsolvedKl",)),
    ("strengthens_kl", (mechanism("KlScale", factor=3.0),)),
    ("weakens_entropy_bonus", ("EntropyBonusScale",)),
    ("strengthens_entropy_bonus", (mechanism("EntropyBonusScale", factor=4.0),)),
    ("adapts_entropy_bonus", ("AdaptiveEntropy",)),
    ("adapts_entropy_bonus", (Slow(),)),
]

REFUTED = [
    ("raises_rare_successes", ("NoStd",)),
    ("raises_rare_successes", ("ValidityMask",)),
    ("silent_on_all_fail", ("ValidityMask",)),
    ("silent_on_all_fail", ("NoStd",)),
    ("pushes_down_all_fail", ("SilenceAllFail",)),
    ("silent_on_all_pass", ("SilenceAllFail",)),
    ("lifts_all_pass", ("NoStd",)),
    ("stronger_on_successes", ("MeanScale",)),
    ("stronger_on_failures", ("NegativeWeight",)),
    ("no_std_division", ("FlooredStd",)),
    ("no_std_division", ("LeaveOneOut",)),
    ("bounded_advantages", ("MeanScale",)),
    ("penalises_length", ("TokenMean",)),
    ("penalises_length", (LongerIsBetter(),)),
    ("rewards_length", ("SolvedLengthPenalty",)),
    ("length_only_when_correct", ("SoftOverlong",)),
    ("penalises_truncated", ("DropTruncated",)),
    ("ignores_truncated", ("SoftOverlong",)),
    ("penalises_invalid", (SilenceInvalid(),)),
    ("ignores_invalid", ("InvalidPenalty",)),
    ("keeps_gradient_of_clipped_tokens", ("ClipHigher",)),
    ("bounds_extreme_ratios", ("ClipHigher",)),
    ("bounds_extreme_ratios", ("TopEntropyTokens",)),
    ("sequence_level_ratio", ("ClippedWeight",)),
    ("sequence_level_ratio", ("SequenceClip",)),
    ("distrusts_off_policy_rows", ("ClipHigher",)),
    ("favours_uncertain_tokens", ("TokenMean",)),
    ("long_rows_weigh_more", ("SolvedLengthPenalty",)),
    ("weakens_kl", (mechanism("KlScale", factor=3.0),)),
    ("strengthens_kl", ("KlScale",)),
    ("strengthens_kl", ("SilenceAllFail",)),
    ("weakens_entropy_bonus", (mechanism("EntropyBonusScale", factor=4.0),)),
    ("strengthens_entropy_bonus", ("EntropyBonusScale",)),
    ("adapts_entropy_bonus", ("EntropyBonusScale",)),
]


@pytest.mark.parametrize(("claim", "mechanisms"), CONFIRMED)
def test_an_honest_claim_is_confirmed(claim: str, mechanisms: tuple[Mechanism | str, ...]) -> None:
    assert check(algorithm(*mechanisms), claim).holds, check(algorithm(*mechanisms), claim)


@pytest.mark.parametrize(("claim", "mechanisms"), REFUTED)
def test_a_claim_that_the_numbers_deny_is_refuted(claim: str, mechanisms: tuple[Mechanism | str, ...]) -> None:
    assert not check(algorithm(*mechanisms), claim).holds, check(algorithm(*mechanisms), claim)


@pytest.mark.parametrize("claim", VOCABULARY)
def test_every_claim_is_confirmed_somewhere_refuted_elsewhere_and_never_true_of_grpo(claim: str) -> None:
    measured = check(GRPO, claim)
    assert not measured.holds
    assert measured.value == measured.reference
    assert claim in {c for c, _ in CONFIRMED}
    assert claim in {c for c, _ in REFUTED}


def test_the_numbers_are_those_that_a_pencil_gives() -> None:
    """p of 8 solved: a deviation of sqrt(p(1-p)) up to a factor; half of a group's mass is on its successes."""
    edge, middle = (7 / 64) ** 0.5, 0.5
    assert check(GRPO, "raises_rare_successes").value == pytest.approx(edge / 2 / (2 * edge + middle), rel=1e-3)
    assert check(algorithm("NoStd"), "raises_rare_successes").value == pytest.approx(0.875 / 7.5)
    assert check(algorithm("MeanScale"), "raises_rare_successes").value == pytest.approx(7 / 24)  # 7 of 14 + 8 + 2
    assert check(algorithm("NoStd"), "no_std_division").value == pytest.approx(2.0)
    assert check(algorithm("NegativeWeight"), "stronger_on_successes").value == pytest.approx(2 / 3)
    assert check(algorithm("TokenMean"), "long_rows_weigh_more").value == pytest.approx(12 / 16)
    assert check(GRPO, "bounds_extreme_ratios").value == pytest.approx(2.718281828459045**6)
    assert check(algorithm("ClippedWeight"), "bounds_extreme_ratios").value == pytest.approx(5.0)  # its cap
    assert check(GRPO, "penalises_length").value == pytest.approx(-0.5 * 40 / 64)  # the brevity part's own
    assert check(algorithm("SilenceAllFail"), "silent_on_all_fail").value == 0.0
    # ValidityMask, prior 1: a row of a uniform group gets 1/3, of the half-solved 1; of the rare one 2, or 1/2 (seven).
    whole = 2 * 8 / 3 + 8 + 5.5
    assert check(algorithm("ValidityMask"), "pushes_down_all_fail").value == pytest.approx(8 / 3 / whole)
    assert check(algorithm("ValidityMask"), "lifts_all_pass").value == pytest.approx(8 / 3 / whole)


@pytest.mark.parametrize(
    ("claim", "mechanisms", "upward"),
    [
        ("raises_rare_successes", ("NoStd",), False),
        ("raises_rare_successes", ("ValidityMask",), False),
        ("bounded_advantages", ("MeanScale",), True),
        ("rewards_length", ("SolvedLengthPenalty",), False),
        ("stronger_on_failures", ("NegativeWeight",), False),
        ("weakens_kl", (mechanism("KlScale", factor=3.0),), True),
        ("strengthens_entropy_bonus", ("EntropyBonusScale",), False),
    ],
)
def test_a_refuted_claim_shows_on_which_side_of_grpo_the_algorithm_is(
    claim: str, mechanisms: tuple[Mechanism | str, ...], upward: bool
) -> None:
    measured = check(algorithm(*mechanisms), claim)
    assert (measured.value > measured.reference) is upward
    assert measured.value != measured.reference


@pytest.mark.parametrize("claim", VOCABULARY)
def test_an_algorithm_without_any_gradient_can_claim_to_be_silent_at_most(claim: str) -> None:
    assert not check(algorithm(Silence()), claim).holds or claim in ("strengthens_kl", "strengthens_entropy_bonus")


@pytest.mark.parametrize("claim", [c for c in VOCABULARY if "kl" not in c and "entropy_bonus" not in c])
def test_a_common_factor_confirms_nothing(claim: str) -> None:
    class Thousand(Mechanism):
        def aggregate(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
            return 1000 * inner(per_token)

    measured = check(algorithm(Thousand()), claim)
    assert not measured.holds
    assert measured.value == pytest.approx(measured.reference, abs=1e-9)


def test_the_pairs_differ_in_one_thing_only() -> None:
    for before, after in (scenes.truncation(), scenes.invalidity()):
        assert torch.equal(before.rewards, after.rewards)
        assert torch.equal(before.correct, after.correct)
        changed = (before.truncated != after.truncated) | (before.valid != after.valid)
        assert changed.view(-1, scenes.SIZE).sum(1).tolist() == [1] * (len(changed) // scenes.SIZE)
        assert torch.equal(before.lengths[~changed], after.lengths[~changed])
        assert not (after.correct & changed).any()


def test_an_unknown_claim_is_one_line_that_names_the_nearest_ones() -> None:
    with pytest.raises(PoiseError) as caught:
        check(GRPO, "raise_rare_sucesses")
    assert str(caught.value).startswith("there is no claim 'raise_rare_sucesses'; did you mean raises_rare_successes")
    with pytest.raises(PoiseError, match="claims are raises_rare_successes, silent_on_all_fail"):
        wording("xyzzy")


def test_a_measurement_is_told_in_one_line_and_is_json() -> None:
    measured = check(algorithm("NoStd"), "raises_rare_successes")
    assert measured.text == "0.117, expected at least 0.149 (GRPO 0.142); groups with 1, 4 and 7 of 8 solved"
    assert json.loads(json.dumps(measured.document()))["bound"] == measured.bound
    nothing = check(algorithm(Silence()), "ignores_truncated")
    assert nothing.text.startswith("nothing to measure, expected at most 0.05")
    assert nothing.document()["value"] is None


def test_words_and_measures_agree_and_the_words_need_no_torch() -> None:
    assert list(WORDINGS) == list(VOCABULARY)
    for name, claim in VOCABULARY.items():
        assert (claim.id, claim.sentence) == (name, WORDINGS[name].sentence)
    assert len({w.sentence for w in WORDINGS.values()}) == len(WORDINGS)
    assert all(w.sentence.endswith(".") and len(w.sentence) < 120 and w.how for w in WORDINGS.values())
    code = "import sys, engine.verify.vocabulary; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_measurement_does_not_move_the_global_generator_nor_depend_on_it() -> None:
    whole = algorithm("MeanScale", "TokenMean", "AdaptiveEntropy")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = [check(whole, c) for c in VOCABULARY]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert [check(whole, c) for c in reversed(VOCABULARY)][::-1] == first


def test_all_claims_of_one_algorithm_take_less_than_a_third_of_a_second() -> None:
    whole = replace(algorithm("ValidityMask", "SoftGate", "AdaptiveEntropy"), name="whole")
    for claim in VOCABULARY:  # warm: GRPO's figures are kept
        check(whole, claim)
    began = time.process_time()
    for claim in VOCABULARY:
        check(whole, claim)
    assert time.process_time() - began < 0.3
