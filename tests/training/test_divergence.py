"""A training that cannot be mended ends at once; one that only goes badly does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.training.divergence import WINDOW, diverged

GOOD: dict[str, Any] = {
    "loss": 0.1, "grad_norm": 1.0, "kl": 0.01, "entropy": 0.8, "correct": 0.4, "invalid": 0.1, "truncated": 0.05,
}  # fmt: skip


def history(*changes: dict[str, Any], good: int = 2) -> list[dict[str, Any]]:
    rows = [GOOD] * good + [GOOD | change for change in changes]
    return [{**row, "step": i + 1} for i, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"loss": float("nan")}, "loss is nan"),
        ({"grad_norm": float("inf")}, "grad_norm is inf"),
        ({"kl": 2000.0}, "kl is 2000"),
    ],
)
def test_a_number_that_is_none_ends_a_training_at_its_first_update(change: dict[str, Any], said: str) -> None:
    assert said in str(diverged(history(change, good=0)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"invalid": 1.0}, "every completion was invalid"),
        ({"truncated": 1.0}, "every completion was cut off"),
        ({"correct": 0.0}, "not one correct completion"),
        ({"entropy": 0.001, "correct": 0.01}, "entropy has collapsed"),
    ],
)
def test_a_collapse_that_lasts_ends_a_training_and_a_shorter_one_does_not(change: dict[str, Any], said: str) -> None:
    assert said in str(diverged(history(*[change] * WINDOW)))
    assert diverged(history(*[change] * (WINDOW - 1))) is None
    assert diverged(history(*[change] * (WINDOW - 1), {}, change)) is None


@pytest.mark.parametrize("change", [{"invalid": 1.0}, {"truncated": 1.0}, {"correct": 0.0}])
def test_what_was_so_from_the_start_is_a_hard_task_and_no_collapse(change: dict[str, Any]) -> None:
    assert diverged(history(*[change] * 40, good=0)) is None


def test_a_policy_that_is_sure_and_right_has_not_collapsed() -> None:
    assert diverged(history(*[{"entropy": 0.0, "correct": 0.9}] * 40)) is None


@given(
    st.lists(
        st.fixed_dictionaries({k: st.floats(0.01, 0.99) for k in ("entropy", "correct", "invalid", "truncated")}),
        min_size=1,
        max_size=60,
    )
)
def test_a_training_in_which_something_is_still_right_goes_on(changes: list[dict[str, Any]]) -> None:
    """Unless its entropy is gone as well."""
    assert diverged(history(*[c | {"entropy": 0.5} for c in changes])) is None
