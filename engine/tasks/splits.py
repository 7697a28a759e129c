"""Which split a problem belongs to: a hash of its canonical form decides, so equal problems never part."""

import hashlib
import random
from collections.abc import Callable, Mapping

from engine.errors import PoiseError
from engine.tasks.interface import Problem, Split

SHARES: Mapping[Split, int] = {"train": 60, "development": 20, "confirmation": 20}
"""Percent of all canonical problems in each split."""

_PATIENCE = 400
"""Draws allowed for each problem wanted before a split is called too small."""


def split_of(task: str, canonical: str, shares: Mapping[Split, int] = SHARES) -> Split:
    """The split of a problem, from its canonical form: all ways to write one problem share that form."""
    point = int.from_bytes(hashlib.sha256(f"{task}:{canonical}".encode()).digest()[:8], "big") % 100
    for split, share in shares.items():
        if point < share:
            return split
        point -= share
    raise AssertionError("the shares do not sum to 100")


def check_split(split: str) -> None:
    """Raise for a split that there is not.

    Raises:
        PoiseError: it is named, with those there are.
    """
    if split not in SHARES:
        raise PoiseError(f"unknown split {split!r}: use one of {', '.join(SHARES)}")


def draw(
    make: Callable[[random.Random], tuple[Problem, str]], task: str, split: Split, count: int, seed: int
) -> list[Problem]:
    """`count` problems of one split, no two with the same canonical form, reproducible from `seed`.

    Args:
        make: draws one problem and its canonical form.

    Raises:
        PoiseError: the split is unknown, or does not hold `count` different problems.
    """
    check_split(split)
    rng = random.Random(f"{task}:{split}:{seed}")
    found: dict[str, Problem] = {}
    for _ in range(_PATIENCE * count):
        if len(found) == count:
            break
        problem, canonical = make(rng)
        if canonical not in found and split_of(task, canonical) == split:
            found[canonical] = problem
    if len(found) < count:
        raise PoiseError(f"task {task!r} has only {len(found)} {split} problems, {count} were asked for: ask for fewer")
    return list(found.values())
