"""Metrics come from a process that runs candidate code: nothing but finite numbers gets through."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.archive.tail_metrics import LINE_LIMIT, MetricsTail, check_point


def write(path: Path, *points: Any) -> None:
    with path.open("a") as file:
        for point in points:
            file.write(json.dumps(point) + "\n")


def test_a_trainers_points_come_through_whole_and_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = MetricsTail(path)
    assert tail.read() == []
    point = {"step": 0, "reward": 0.25, "kl": None, "grad_norm": 3, "parts": {"correct": 0.5, "format": None}}
    write(path, point)
    assert tail.read() == [point]
    write(path, {"step": 1, "reward": 0.5, "parts": {}})
    assert tail.read() == [{"step": 1, "reward": 0.5, "parts": {}}]
    assert tail.dropped == 0


NO_NUMBERS = ["1e999", "-Infinity", "NaN", '"0.5"', "true", "[1]", "{}", "null", "1" * 400]


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_finite_number_is_null(value: str) -> None:
    assert check_point(b'{"step": 1, "reward": %s}' % value.encode())["reward"] is None


def test_unknown_names_do_not_get_through() -> None:
    assert check_point(b'{"step": 1, "overall": 100, "__proto__": 1}') == {"step": 1, "parts": {}}


def test_names_of_reward_parts_are_short_and_printable_and_few() -> None:
    parts = {"\x1b[31mred\x07": 1.0, "x" * 1000: 2.0} | {f"p{i}": 0.0 for i in range(100)}
    checked = check_point(json.dumps({"step": 1, "parts": parts}).encode())["parts"]
    assert len(checked) == 16
    assert all(name.isprintable() and len(name) <= 40 for name in checked)


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "3",
        "{}",
        '{"step": -1}',
        '{"step": 1.5}',
        '{"step": true}',
        '{"step": 99999999999}',
        "[" * 8000,
        '{"step": ' + "9" * 5000 + "}",
        "x" * (LINE_LIMIT + 1),
    ],
)
def test_a_line_that_is_no_point_is_counted_and_passed_over(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(line + "\n" + '{"step": 2}\n')
    tail = MetricsTail(path)
    assert [point["step"] for point in tail.read()] == [2]
    assert tail.dropped == 1


def test_steps_only_grow_so_a_resumed_trial_repeats_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, *({"step": step, "reward": 0.0} for step in (1, 2, 3, 2, 3, 4)))
    assert [point["step"] for point in MetricsTail(path).read()] == [1, 2, 3, 4]
    assert [point["step"] for point in MetricsTail(path, after=2).read()] == [3, 4]


@pytest.mark.fault(25)
def test_steps_beyond_the_end_of_a_training_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, {"step": 9}, {"step": 4}, {"step": 10_000}, {"step": 5})
    tail = MetricsTail(path, last=5)
    assert [point["step"] for point in tail.read()] == [4, 5]
    assert tail.dropped == 2


@pytest.mark.fault(25)
def test_a_flood_is_read_in_bounded_bites(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f'{{"step": {step}, "reward": 0.5}}\n' for step in range(30_000)))
    tail = MetricsTail(path)
    bites = []
    while bite := tail.read():
        bites.append(len(bite))
    assert sum(bites) == 30_000
    assert max(bites) < 12_000


@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise_anything_but_what_the_tail_expects(line: bytes) -> None:
    with suppress(ValueError, TypeError, KeyError):
        check_point(line)
