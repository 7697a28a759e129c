"""Every gold answer of the six benchmarks grades itself right, reformatted too."""

import itertools
from collections.abc import Iterator

import pytest

from engine.tasks.math_answers import number, plain
from engine.tasks.math_grading import is_right
from engine.tasks.sources import read_jsonl
from tests.tasks.shared import ROWS, shared_data


def reformatted(gold: str) -> Iterator[str]:
    """Ways to write a gold that mean the same."""
    yield gold
    yield f"${gold}$"
    yield f"\\displaystyle {gold}."
    yield gold.replace("\\frac", "\\dfrac")
    yield gold.replace("(", "\\left(").replace(")", "\\right)")
    yield gold.replace("+", " + ").replace("=", "\\;=\\;").replace("\\cdot", "\\cdot ")
    read = number(plain(gold))
    if read is not None:
        yield f"\\text{{{gold}}}" if "\\" not in gold else f"\\mathrm{{{gold}}}"
        yield f"{gold} \\text{{ units}}" if gold[-1].isdigit() else gold
        value = read.value
        if value.denominator != 1 and 1e-4 < abs(value) < 1e6:
            yield f"{float(value):.7g}"
            yield f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


@pytest.mark.parametrize("name", ROWS)
def test_every_gold_grades_itself_right_and_every_way_to_write_it(name: str) -> None:
    rows = read_jsonl(shared_data() / "benchmarks" / f"{name}.jsonl")
    assert len(rows) == ROWS[name]
    wrong = [
        (row.gold, text)
        for row in rows
        for gold in row.gold.splitlines()
        for text in reformatted(gold)
        if not is_right(row.gold, text)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", ["aime24", "aime25", "amc"])
def test_the_golds_of_a_contest_are_whole_numbers_and_no_two_different_ones_match(name: str) -> None:
    golds = sorted({row.gold for row in read_jsonl(shared_data() / "benchmarks" / f"{name}.jsonl")})
    assert all(gold.lstrip("-").isdigit() for gold in golds)
    values = {gold: int(gold) for gold in golds}
    for one in golds:
        for other in golds:
            assert is_right(one, other) == (values[one] == values[other])


NEXT = [
    pytest.param(name, step, marks=[pytest.mark.slow] if step == 1 else [])
    for name in ("math500", "minerva", "olympiadbench")
    for step in (1, 7)
]


@pytest.mark.parametrize(("name", "step"), NEXT)
def test_the_next_problems_gold_is_right_only_where_it_is_the_same(name: str, step: int) -> None:
    rows = read_jsonl(shared_data() / "benchmarks" / f"{name}.jsonl")[::step]
    pairs = [(a.gold.splitlines(), b.gold.splitlines()) for a, b in itertools.pairwise(rows)]
    taken = [(gold, other) for gold, other in pairs if is_right("\n".join(gold), other[0])]
    numbers = [(number(plain(gold[0])), number(plain(other[0]))) for gold, other in taken]
    assert [
        pair for pair, read in zip(taken, numbers, strict=True) if None in read and not set(pair[0]) & set(pair[1])
    ] == []
    assert len(taken) < len(rows) * 0.1
