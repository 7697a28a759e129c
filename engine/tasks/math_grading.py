"""The one grader of mathematical answers, for training and for scoring."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from engine.tasks.interface import Grade
from engine.tasks.math_answers import LONGEST, calculation, in_order, last_box, number, plain, quick, variables
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


def grade_boxed(gold: str, completion: str, truncated: bool) -> Grade:
    """`judge_response` as a grade with the parts `correct` and `format`, the latter for an answer that is valid."""
    verdict = judge_response(gold, completion, truncated)
    return Grade({"correct": float(verdict.correct), "format": float(verdict.valid)}, verdict.valid, verdict.correct)


@lru_cache(1 << 16)
def is_right(gold: str, answer: str) -> bool:
    """Whether an answer is one of the golds (one a line); the first that says so ends the search."""
    given = plain(answer)
    return any(_matches(plain(line), given) for line in gold.splitlines() if line.strip())


def _matches(gold: str, answer: str) -> bool:
    """Whether a plain answer is a plain gold: what can be told by reading is, algebra says the rest."""
    numeric = number(gold) is not None
    if numeric and "=" in answer:
        answer = answer.rpartition("=")[2].strip()  # m + n = 33
    found = quick(gold, answer)
    if found is not None:
        return found
    if len(answer) > LONGEST:
        return False
    # A number is given as a number: no calculation that would have to be carried out, no formula, no words.
    if numeric and (calculation(answer) or variables(answer)):
        return False
    if number(answer) is not None and "=" not in gold and variables(gold):
        return False
    return JUDGE.equal(gold, in_order(gold, answer))
