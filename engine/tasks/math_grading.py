"""The one grader of mathematical answers, for training and for scoring."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from engine.tasks.math_answers import LONGEST, calculation, in_order, last_box, number, plain, quick
from engine.tasks.math_judge import JUDGE


@dataclass(frozen=True)
class Verdict:
    """What a response is worth.

    Attributes:
        valid: it has an answer in a box, and was not cut off.
        correct: it is valid, and that answer is right.
    """

    valid: bool
    correct: bool


def judge_response(gold: str, completion: str, truncated: bool) -> Verdict:
    r"""Grade a response by what stands in its last `\boxed{...}`.

    Args:
        gold: the right answer, or several ways to give it, one a line.
    """
    answer = None if truncated else last_box(completion)
    if answer is None:
        return Verdict(False, False)
    return Verdict(True, is_right(gold, answer))


@lru_cache(1 << 16)
def is_right(gold: str, answer: str) -> bool:
    """Whether an answer is one of the golds (one a line); the first that says so ends the search."""
    given = plain(answer)
    return any(_matches(plain(line), given) for line in gold.splitlines() if line.strip())


def _matches(gold: str, answer: str) -> bool:
    found = quick(gold, answer)
    if found is not None:
        return found
    if len(answer) > LONGEST or (number(gold) is not None and calculation(answer)):
        return False
    return JUDGE.equal(gold, in_order(gold, answer))
