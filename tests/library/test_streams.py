"""Signals with a scale of their own: numbers worked by hand. That GDPO is TRL's to the last bit: tests/training."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.algorithms.library.scales import NoStd
from engine.algorithms.library.streams import (
    AllFailEntropy,
    DecoupledFormat,
    EntropyAdvantage,
    KlInReward,
    PartNormalization,
)
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Mechanism
from engine.verify.case import Case, rollouts
from tests.library.hand import advantages, case

NAN = math.nan
part = st.lists(st.floats(-2, 2, width=32), min_size=4, max_size=4)


def with_parts(first: list[float], second: list[float], size: int = 2, weight: float = 0.5) -> Case:
    made = case([first[i : i + size] for i in range(0, len(first), size)])
    parts = {"a": torch.tensor(first, dtype=torch.float64), "b": torch.tensor(second, dtype=torch.float64)}
    return replace(made, parts=parts, part_weights={"a": 1.0, "b": weight})


def shaped(made: Case, *mechanisms: Mechanism) -> list[float]:
    found: list[float] = Pipeline(Algorithm("t", mechanisms)).advantages(rollouts(made)).shaped.tolist()
    return found


def test_gdpo_gives_every_part_the_same_spread_before_it_weighs_it() -> None:
    """In pairs every part that differs is worth +-1/sqrt(2), however large: 1 and 0.001 alike, but for the epsilon."""
    made = with_parts([1, 0, 0, 0], [0, 0, 10, 0])
    z, half = 1 / math.sqrt(2), 0.5 / math.sqrt(2)
    assert shaped(made, PartNormalization(eps=1e-8)) == pytest.approx([z, -z, half, -half], rel=1e-6)
    std = statistics.stdev([z, -z, half, -half])
    got = advantages(made, PartNormalization(eps=1e-8)).tolist()
    assert got == pytest.approx([z / std, -z / std, half / std, -half / std], rel=1e-6)


def test_gdpo_leaves_out_a_part_where_it_does_not_apply() -> None:
    """Row 2 has no part b: its group's b is normalised over the other two, and it is judged by a alone."""
    made = with_parts([1, 0, 0], [2, NAN, 0], size=3)
    a = [(x - 1 / 3) / statistics.stdev([1, 0, 0]) for x in (1, 0, 0)]
    b = [1 / statistics.stdev([2, 0]), 0, -1 / statistics.stdev([2, 0])]
    wanted = [x + 0.5 * y for x, y in zip(a, b, strict=True)]
    assert shaped(made, PartNormalization(eps=1e-8)) == pytest.approx(wanted, rel=1e-6)


def test_gdpo_leaves_out_a_part_that_a_single_row_has_and_a_row_that_has_none() -> None:
    made = with_parts([1, 0, 0, NAN], [NAN, 5, NAN, NAN], size=4)
    z = [(x - 1 / 3) / statistics.stdev([1, 0, 0]) for x in (1, 0, 0)]
    got = advantages(made, PartNormalization(eps=1e-8)).tolist()
    assert got == pytest.approx([x / statistics.stdev(z) for x in z] + [0], rel=1e-6, abs=1e-12)


@settings(max_examples=60)
@given(part, part, st.floats(0.5, 20), st.floats(-5, 5))
def test_gdpo_does_not_care_about_the_scale_or_shift_of_a_part(
    a: list[float], b: list[float], k: float, d: float
) -> None:
    if min(abs(x[0] - x[1]) for x in (a, b)) > 0.3 and min(abs(x[2] - x[3]) for x in (a, b)) > 0.3:
        plain, moved = with_parts(a, b), with_parts(a, [k * x + d for x in b])
        assert torch.allclose(advantages(plain, PartNormalization()), advantages(moved, PartNormalization()), atol=5e-3)


def test_dfr_learns_format_beside_correctness_and_no_other_part() -> None:
    """Correct 1 of 4: 0.75, -0.25; valid 2 of 4: z = +-1, weighs 0.3; the extra 0.5 of row 3 is not seen."""
    made = case([[1.2, 0.5, 0.5, 0]], valid=[True, True, False, False])
    assert shaped(made, DecoupledFormat()) == [1, 0, 0, 0]
    got = advantages(made, NoStd(), DecoupledFormat(weight=0.3)).tolist()
    assert got == pytest.approx([0.75 + 0.3, -0.25 + 0.3, -0.25 - 0.3, -0.25 - 0.3], abs=1e-4)


def test_a_rare_format_weighs_by_its_z_score() -> None:
    """One valid row of four: (1 - 1/4) / sqrt(3/16) = sqrt(3), the others -1 / sqrt(3)."""
    made = case([[0, 0, 0, 0]], valid=[True, False, False, False])
    got = advantages(made, DecoupledFormat(weight=0.5)).tolist()
    assert got == pytest.approx([0.5 * math.sqrt(3), *[-0.5 / math.sqrt(3)] * 3], abs=1e-3)


def test_dfrs_format_stream_speaks_in_all_fail_groups_and_skips_missing_rows() -> None:
    made = case([[0, 0, NAN]], valid=[True, False, False])
    assert advantages(made, DecoupledFormat(weight=0.5)).tolist() == pytest.approx([0.5, -0.5, 0], abs=1e-3)


ENTROPY = [[1.0, 3.0], [2.0, 99.0], [0.5, 0.5], [0.5, 0.5]]  # the second row has one token


def test_dfrs_entropy_signal_is_centred_over_the_tokens_of_an_all_fail_group() -> None:
    made = case([[0, 0.4], [1, 0]], lengths=[2, 1, 2, 2], entropy=ENTROPY)
    got = advantages(made, NoStd(), AllFailEntropy(weight=0.5)).tolist()
    assert got == [[-0.5, 0.5], [0, 0], [0.5, 0.5], [-0.5, -0.5]]


def test_entropy_adds_to_an_advantage_no_more_than_a_share_of_it() -> None:
    """A = 1/2, -1/2; alpha = 0.1 gives 0.1 and 0.3, of which no more than 1/4 is added; 0.2 to the second row."""
    made = case([[1, 0]], lengths=[2, 1], entropy=ENTROPY[:2])
    got = advantages(made, NoStd(), EntropyAdvantage(alpha=0.1, kappa=2.0))
    assert got[0].tolist() == pytest.approx([0.6, 0.75])
    assert got[1, 0].item() == pytest.approx(-0.3)


def test_entropy_never_turns_the_sign_of_an_advantage() -> None:
    made = case([[1, 0, 0, 0], [0, 0, 0, 0]], lengths=[2] * 8, entropy=[[9.0, 0.1]] * 8)
    plain, got = advantages(made), advantages(made, EntropyAdvantage(alpha=10.0, kappa=1.01))
    assert (got * plain.unsqueeze(1) >= 0).all()
    assert (got[4:] == 0).all()


def test_the_distance_to_the_reference_is_charged_by_the_row() -> None:
    """log ratios 0.5 + 1.5 in row 1, -1 in row 2, whose second column is padding."""
    made = case(
        [[1, 0]],
        lengths=[2, 1],
        old_logp=[[-1.0, -1.0], [-2.0, -7.0]],
    )
    made = replace(made, ref_logp=torch.tensor([[-1.5, -2.5], [-1.0, -1.0]], dtype=torch.float64))
    assert shaped(made, KlInReward(coefficient=0.1)) == pytest.approx([1 - 0.2, 0.1])


def test_without_a_reference_nothing_is_charged() -> None:
    made = case([[1, 0]])
    assert made.ref_logp is None
    assert shaped(made, KlInReward(coefficient=1.0)) == [1, 0]


def test_mechanisms_that_need_an_extra_pass_ask_for_it() -> None:
    for m in (AllFailEntropy(), EntropyAdvantage()):
        assert Pipeline(Algorithm("t", (m,))).needs_entropy
    assert Pipeline(Algorithm("t", (KlInReward(),))).needs_logp
