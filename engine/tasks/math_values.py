r"""The approximate value of an answer without variables: arithmetic, powers, `\frac`, `\sqrt` and `\pi`, read by hand.

It is only ever used to tell apart what is far apart; whether two values that agree are equal is for algebra to say.
"""

from __future__ import annotations

import math
import re

APART = 1e-3
"""Relative difference from which two values are different for certain: ten times the tolerance of a decimal."""
LARGEST = 1e12
"""Beyond it, nothing is said: floats and the size of powers are no longer to be trusted."""
_LONGEST = 80
_TOKEN = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+|\\(?:frac|sqrt|pi|cdot|times)(?![a-zA-Z])|[-+*/^(){}\[\]])")


class _Unreadable(Exception):
    pass


def value(text: str) -> float | None:
    """The value of a plain answer, None if it is anything but a number of moderate size in this small language."""
    if len(text) > _LONGEST:
        return None
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            return None
        tokens.append(found[1])
        at = found.end()
    reader = _Reader(tokens)
    try:
        made = reader.total()
        return made if reader.done and math.isfinite(made) and abs(made) < LARGEST else None
    except (_Unreadable, ArithmeticError, ValueError, RecursionError):
        return None


def apart(gold: float, answer: float) -> bool:
    """Whether two values are certainly not the same."""
    return abs(gold - answer) > APART * max(abs(gold), abs(answer)) and max(abs(gold), abs(answer)) > 1e-6


def differ(gold: str, answer: str) -> bool:
    """Whether two plain answers have values that are certainly not the same, or one is a list of different ones."""
    if "%" in gold or "%" in answer:
        return False
    golds, answers = _listed(gold), _listed(answer)
    if golds is None or answers is None:
        return False
    if len(golds) == len(answers) == 1:
        return apart(golds[0], answers[0])
    several = max(golds, answers, key=len)
    return min(len(golds), len(answers)) == 1 and apart(several[0], several[-1])


def _listed(text: str) -> list[float] | None:
    """The value, or the values of a list; None where one cannot be read."""
    found = value(text)
    if found is not None:
        return [found]
    inside = text[1:-1] if text[:1] in "([" and text[-1:] in ")]" else text
    values = [value(part) for part in inside.split(",")]
    return [v for v in values if v is not None] if None not in values and len(values) > 1 else None


class _Reader:
    """Recursive descent over the tokens of one answer."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens, self._at = tokens, 0

    @property
    def done(self) -> bool:
        return self._at == len(self._tokens)

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, *wanted: str) -> str:
        token = self._next()
        if token == "" or (wanted and token not in wanted):
            raise _Unreadable
        self._at += 1
        return token

    def total(self) -> float:
        made = self._product()
        while self._next() in ("+", "-"):
            made = made + self._product() if self._take() == "+" else made - self._product()
        return made

    def _product(self) -> float:
        sign = 1.0
        while self._next() in ("+", "-"):
            sign = -sign if self._take() == "-" else sign
        made, mixed = self._power()
        over = False
        while (token := self._next()) and token not in ("+", "-", ")", "}", "]"):
            if token == "/":
                self._take()
                made, mixed, over = made / self._power()[0], False, True
            elif token in ("*", "\\cdot", "\\times"):
                self._take()
                made, mixed = made * self._power()[0], False
            elif token == "\\frac" and mixed:
                raise _Unreadable  # 5\frac12 is a sum: exact numbers are read elsewhere
            elif token[0].isdigit() or token[0] == ".":
                raise _Unreadable  # two numbers side by side
            elif over:
                raise _Unreadable  # 4/2\\pi
            else:
                made, mixed = made * self._power()[0], False
        return sign * made

    def _power(self) -> tuple[float, bool]:
        """A factor with its exponent, and whether it is a bare whole number."""
        bare = self._next().isdigit()
        made = self._factor()
        if self._next() == "^":
            self._take()
            sign = -1.0 if self._next() == "-" and self._take() else 1.0
            exponent = sign * self._factor()
            if abs(exponent) > 64 or self._next() == "^":
                raise _Unreadable
            made, bare = made**exponent, False
            if isinstance(made, complex):
                raise _Unreadable
        return made, bare

    def _factor(self) -> float:
        token = self._take()
        if token[0].isdigit() or token[0] == ".":
            return float(token)
        if token == "\\pi":
            return math.pi
        if token in ("(", "{"):
            made = self.total()
            self._take(")" if token == "(" else "}")
            return made
        if token == "\\frac":
            return self._argument() / self._argument()
        if token == "\\sqrt":
            if self._next() == "[":
                raise _Unreadable
            return math.sqrt(self._argument())
        raise _Unreadable

    def _argument(self) -> float:
        r"""What stands in braces; `\frac12` and `\sqrt2` without are left to algebra where they are longer."""
        if self._next() == "{":
            return self._factor()
        token = self._take()
        if len(token) == 1 and token.isdigit():
            return float(token)
        raise _Unreadable
