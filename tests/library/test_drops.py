"""Rows that leave the loss."""

from __future__ import annotations

import math

import torch

from engine.algorithms.library.drops import DropTruncated, DropUniform
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Mechanism
from engine.verify.behave import behave
from engine.verify.case import Case, rollouts
from tests.library.hand import case


def dropped(made: Case, *mechanisms: Mechanism) -> list[bool]:
    found: list[bool] = Pipeline(Algorithm("t", mechanisms)).advantages(rollouts(made)).dropped.tolist()
    return found


def test_groups_that_all_fail_or_all_pass_are_dropped_and_mixed_ones_kept() -> None:
    made = case([[0, 0.3], [1, 0], [1, 1.3]])
    assert dropped(made, DropUniform()) == [True, True, False, False, True, True]


def test_a_row_that_cannot_be_scored_does_not_make_its_group_mixed() -> None:
    made = case([[1, 1, math.nan], [1, 0, math.nan], [0, 0, math.nan]])
    assert dropped(made, DropUniform()) == [True] * 3 + [False] * 3 + [True] * 3


def test_cut_rows_are_dropped_but_count_in_the_statistics_of_their_group() -> None:
    made = case([[1, 0, 0]], truncated=[False, True, False])
    assert dropped(made, DropTruncated()) == [False, True, False]
    plain, masked = (behave(Algorithm("t", m), made) for m in ((), (DropTruncated(),)))
    assert torch.equal(plain.advantages, masked.advantages)
    assert (masked.grad_logp[1] == 0).all()
    assert torch.allclose(masked.grad_logp[0], plain.grad_logp[0] * 3 / 2)


def test_both_drops_together_drop_what_either_drops() -> None:
    made = case([[1, 0], [1, 1]], truncated=[True, False, False, False])
    assert dropped(made, DropUniform(), DropTruncated()) == [True, False, True, True]
    assert dropped(made, DropTruncated(), DropUniform()) == [True, False, True, True]
    assert dropped(made) == [False] * 4


def test_a_batch_of_uniform_groups_trains_nothing_and_stays_finite() -> None:
    b = behave(Algorithm("t", (DropUniform(),)), case([[0.3, 0], [1, 1]]))
    assert b.loss == 0 and (b.grad_logp == 0).all()
