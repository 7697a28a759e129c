"""Typed queries over candidates: `overall>=40 status:running mechanism:gspo -pruned`, all terms must hold."""

import operator
import re
import shlex
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine.errors import Exit, PoiseError
from engine.untrusted import one_line
from poise_tui.format import LIVE
from poise_tui.snapshot import Candidate

Test = Callable[[Candidate], bool]

STATUSES = (
    *("queued", "verifying", "training", "paused", "scoring", "scored"),
    *("stopped", "failed", "infeasible", "pruned", "duplicate"),
)

NUMBERS: Mapping[str, Callable[[Candidate], float | None]] = {
    "overall": lambda c: c.overall,
    "gain": lambda c: c.gain.value if c.gain else None,
    "low": lambda c: c.gain.low if c.gain else None,
    "high": lambda c: c.gain.high if c.gain else None,
    "fidelity": lambda c: c.fidelity if c.overall is not None else None,
    "seeds": lambda c: float(len(c.seeds)),
    "mechanisms": lambda c: float(len(c.mechanisms)),
    "seconds": lambda c: c.seconds,
    "step": lambda c: float(max((t.step for t in c.trials), default=0)),
}
"""What is compared as a number; a candidate that has none yet fits no comparison."""

TEXTS: Mapping[str, Callable[[Candidate], tuple[str, ...]]] = {
    "name": lambda c: (c.name,),
    "id": lambda c: (c.id,),
    "parent": lambda c: (c.parent or "",),
    "mechanism": lambda c: c.mechanisms,
    "cause": lambda c: (c.cause or "",),
    "verdict": lambda c: (c.verdict or "",),
    "mark": lambda c: (c.gain.mark if c.gain else "",),
}
"""What a regular expression is looked for in, whatever the case of its letters."""

WORDS: Mapping[str, Test] = {
    **{status: (lambda c, s=status: c.status == s) for status in STATUSES},  # type: ignore[misc]
    "running": lambda c: c.status in LIVE or c.running_trial is not None,
    "pinned": lambda c: c.pinned,
    "confirmed": lambda c: c.verdict == "confirmed",
    "better": lambda c: c.gain is not None and c.gain.mark == "better",
    "worse": lambda c: c.gain is not None and c.gain.mark == "worse",
}
"""Words that stand alone, and after `status:`."""

_OPERATORS = {
    ">=": operator.ge, "<=": operator.le, "!=": operator.ne, ">": operator.gt, "<": operator.lt, "=": operator.eq,
    ":": operator.eq,
}  # fmt: skip
_TERM = re.compile(r"(?P<field>[a-z]+)(?P<operator>>=|<=|!=|>|<|=|:)(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True)
class Query:
    """What was typed, and whether a candidate fits it."""

    text: str = ""
    tests: tuple[Test, ...] = ()

    def fits(self, candidate: Candidate) -> bool:
        """Whether all terms hold."""
        return all(test(candidate) for test in self.tests)

    def __bool__(self) -> bool:
        return bool(self.tests)


ALL = Query()


def parse(text: str) -> Query:
    """Understand a query.

    Args:
        text: terms between blanks, `-` before one turns it round: `field>=number` (see `NUMBERS`), `field:regex` (see
            `TEXTS`), `status:word`, a word of `WORDS`, or else a regular expression for id and name. Quotes hold
            blanks together.

    Raises:
        PoiseError: what is wrong with which term, and what would be right.
    """
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    try:
        words = list(lexer)
    except ValueError:
        raise _wrong(text, "a quote is not closed") from None
    return Query(text.strip(), tuple(_term(word) for word in words if word))


def _term(word: str) -> Test:
    if word.startswith("-") and len(word) > 1:
        test = _term(word[1:])
        return lambda candidate: not test(candidate)
    if word in WORDS:
        return WORDS[word]
    if (found := _TERM.fullmatch(word)) is None:
        pattern = _regex(word, word)
        return lambda candidate: bool(pattern.search(f"{candidate.id} {candidate.name}"))
    field, sign, value = found["field"], found["operator"], found["value"]
    if not value:
        raise _wrong(word, f"nothing stands after {sign}")
    if field == "status":
        return _status(word, sign, value)
    if field in NUMBERS:
        return _compare(NUMBERS[field], _OPERATORS[sign], _number(word, value))
    if field in TEXTS:
        return _text(word, TEXTS[field], sign, value)
    known = ", ".join([*NUMBERS, *TEXTS, "status"])
    raise _wrong(word, f"there is no field {field}; there are {known}")


def _status(word: str, sign: str, value: str) -> Test:
    if sign not in (":", "=", "!=") or value not in WORDS:
        raise _wrong(word, f"a status is one of {', '.join(WORDS)}")
    return (lambda c: not WORDS[value](c)) if sign == "!=" else WORDS[value]


def _compare(of: Callable[[Candidate], float | None], compare: Callable[[float, float], bool], bound: float) -> Test:
    def test(candidate: Candidate) -> bool:
        value = of(candidate)
        return value is not None and compare(value, bound)

    return test


def _text(word: str, of: Callable[[Candidate], tuple[str, ...]], sign: str, value: str) -> Test:
    if sign not in (":", "=", "!="):
        raise _wrong(word, "text is compared with : or !=, not by size")
    pattern = _regex(word, value)
    if sign == "!=":
        return lambda candidate: not any(pattern.search(text) for text in of(candidate))
    return lambda candidate: any(pattern.search(text) for text in of(candidate))


def _number(word: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise _wrong(word, f"{one_line(value)} is no number") from None


def _regex(word: str, value: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of what a later Python may understand otherwise
            return re.compile(value, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise _wrong(word, f"no regular expression ({error})") from None


def _wrong(word: str, why: str) -> PoiseError:
    return PoiseError(f"{one_line(word)}: {why}", Exit.USAGE)
