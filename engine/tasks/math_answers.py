"""Answers to mathematical questions as text: where a response has it, how it is written, and when a number is right.

All of it is exact and quick. What needs algebra is left to `engine.tasks.math_judge`, which reads answers as they are
written here, by `plain`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from engine.tasks.math_values import differ

TOLERANCE = Fraction(1, 10_000)
"""Relative error that a decimal may have; the habit of the Qwen2.5-Math evaluation, so that scores can be compared."""
LONGEST = 400
"""Characters of an answer that is looked at; the longest gold of the six benchmarks has about 200."""
_LONGEST_NUMBER = 60
_EXPONENT = 99

_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lrm]?)(?![a-zA-Z])\.?")
_SPACES = re.compile(
    r"(?<!\\)\\[!,;: ]|~|\\(?:quad|qquad|displaystyle|textstyle|limits|phantom\{[^{}]*\})(?![a-zA-Z])|\s+"
)
_THOUSANDS = re.compile(r"\\!|(?<=\d)\\[,;:](?=\d{3})")
_MARKS = re.compile(r"\\[()\[\]]|(?<!\\)\$")
_FRACTIONS = re.compile(r"\\[dtc]frac(?![a-zA-Z])")
_STYLE = re.compile(
    r"\\(?:text(?:bf|it|rm|normal|sf)?|math(?:rm|bf|it|sf|normal)|mbox|operatorname|bold(?:symbol)?)\s*\{"
)
_STYLED = re.compile(_STYLE.pattern + r"([^{}]*)\}")
_UNITS = re.compile(
    r"(?<=[\d}).%])\s*(?:\\(?:text(?:bf|it|rm|normal)?|math(?:rm|bf|it)|mbox)\s*\{[^{}]*\}(?:\^\{?-?\d\}?)?[\s/.]*)+$"
)
_WORDS = re.compile(
    r"(?<=[\d}])\s+(?:(?:square|sq|cubic|cu)\.?\s+)?(?:cm|mm|km|kg|ft|feet|foot|in|inch(?:es)?|met(?:er|re)s?|miles?|k?Hz|"
    r"yards?|units?|degrees?|hours?|hrs?|min(?:ute)?s?|sec(?:ond)?s?|days?|weeks?|months?|years?|dollars?|cents?|bucks|"
    r"mph|people|ways?|times)(?:\^\{?[23]\}?)?\.?$",
    re.IGNORECASE,
)
"""Units that are written out. None of one letter, and none without a space: `6m` is six times m."""
_DEGREES = re.compile(
    r"(?:\s*\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![a-zA-Z]))|\s*\\degree(?![a-zA-Z])|\s*°)(?:\s*[CF](?![a-zA-Z]))?"
)
_SECONDS = re.compile(r"(?<=\d)\s*\^\s*(?:\{\s*(?:\\prime\s*)+\}|\\prime)$")
_UNICODE = str.maketrans({"−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "π": r"\pi ", "∞": r"\infty ", "⁄": "/"})
_MEMBER = re.compile(r"^[a-zA-Z]\s*\\in(?![a-zA-Z])\s*")
_EXPONENTIAL = re.compile(r"(?<![a-zA-Z\\])(\d+(?:\.\d*)?|\.\d+)[eE]([+-]?\d+)(?![\d.a-zA-Z])")

_SIGN = r"(?P<sign>[+-]?)\s*"
_WHOLE = r"\d+|\d{1,3}(?:,\d{3})+"
_INTEGER = re.compile(_SIGN + rf"(?P<whole>{_WHOLE})")
_DECIMAL = re.compile(_SIGN + rf"(?P<decimal>(?:{_WHOLE})\.\d*|\.\d+)")
_RATIO = re.compile(
    _SIGN
    + r"(?P<mixed>\d+\s*(?=\\frac))?"
    + r"(?:\\frac\s*\{\s*(?P<top>-?\d+)\s*\}\s*\{\s*(?P<bottom>-?\d+)\s*\}|(?P<over>\d+)\s*/\s*(?P<under>\d+))"
)
_POWER = re.compile(
    _SIGN
    + r"(?:(?P<factor>\d+(?:\.\d*)?|\.\d+)\s*\\(?:times|cdot)\s*)?10\s*"
    + r"\^\s*(?:\{\s*(?P<in>[+-]?\d+)\s*\}|(?P<digit>\d))"
)


def last_box(text: str) -> str | None:
    r"""What stands in the last `\boxed{...}`; None where there is none, or where it is empty or not closed."""
    boxes = list(_BOX.finditer(text))
    if not boxes:
        return None
    inside = boxes[-1].end()
    end = _closing(text, inside)
    return None if end is None else text[inside:end].strip() or None


def _closing(text: str, at: int) -> int | None:
    """Where the brace that was opened just before `at` is closed."""
    depth = 1
    while at < len(text):
        match text[at]:
            case "\\":
                at += 1
            case "{":
                depth += 1
            case "}":
                depth -= 1
                if depth == 0:
                    return at
        at += 1
    return None


def _unwrapped(text: str) -> str:
    """Without a style that is put on the whole."""
    while (found := _STYLE.match(text)) and _closing(text, found.end()) == len(text) - 1:
        text = text[found.end() : -1].strip()
    return text


@lru_cache(1 << 14)
def plain(text: str) -> str:
    """An answer without what does not change its meaning: dollar signs, sizes, spacing, styles, units, a final dot.

    A percent sign stays, since it may mean either of two numbers.
    """
    text = (
        _MARKS.sub("", text[: LONGEST * 4].translate(_UNICODE))
        .strip()
        .rstrip(".")
        .replace("\\$", "")
        .replace("\\%", "%")
        .replace("{,}", ",")
        .replace("\n", " ")
    )
    text = _FRACTIONS.sub(r"\\frac", _SIZES.sub("", _THOUSANDS.sub("", text)))
    text = _SPACES.sub(" ", text).strip()
    text = _UNITS.sub("", _unwrapped(text))
    text = _STYLED.sub(r"\1", text).strip()
    text = _SECONDS.sub("", _DEGREES.sub("", _WORDS.sub("", text))).strip()
    text = _EXPONENTIAL.sub(r"\1 \\times 10^{\2}", text)
    return _MEMBER.sub("", text)


@lru_cache(1 << 14)
def signature(text: str) -> str:
    r"""A plain answer with the ways to write one thing made one: `\frac12` is `\frac{1}{2}`, `x^{2}` is `x^2`."""
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{", text)
    text = re.sub(r"(\\frac\s*\{[^{}]*\})\s*(\d)", r"\1{\2}", text)
    text = re.sub(r"\\sqrt\s*(\d)", r"\\sqrt{\1}", text)
    text = re.sub(r"([_^])\s*\{(\w)\}", r"\1\2", text)
    text = re.sub(r"\\(?:geqslant|geq)(?![a-z])", r"\\ge", re.sub(r"\\(?:leqslant|leq)(?![a-z])", r"\\le", text))
    text = re.sub(r"^\(([A-Z])\)$", r"\1", text)
    if re.fullmatch(r"[A-Za-z]{3,}(?: [A-Za-z]+)*", text):
        return text.lower()
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text)


@dataclass(frozen=True)
class Number:
    """A number as it is written.

    Attributes:
        value: without the percent sign.
        exact: a whole number or a fraction, not a decimal.
        percent: it has a percent sign.
    """

    value: Fraction
    exact: bool
    percent: bool

    def readings(self) -> tuple[Fraction, ...]:
        """What it may mean: 50 % is 50, and a half."""
        return (self.value, self.value / 100) if self.percent else (self.value,)


@lru_cache(1 << 14)
def number(text: str) -> Number | None:
    """A plain answer as a number; None if it is none, or needs more than reading: whole, decimal, fraction, a·10^b."""
    if len(text) > _LONGEST_NUMBER:
        return None
    percent = text.endswith("%")
    text = text.removesuffix("%").strip()
    text = _short_fraction(text)
    value: Fraction | None = None
    exact = False
    if found := _INTEGER.fullmatch(text):
        value, exact = Fraction(found["whole"].replace(",", "")), True
    elif found := _DECIMAL.fullmatch(text):
        value = Fraction(found["decimal"].replace(",", ""))
    elif found := _RATIO.fullmatch(text):
        top, bottom = int(found["top"] or found["over"]), int(found["bottom"] or found["under"])
        if bottom != 0 and not (found["mixed"] and (top < 0 or bottom < 0)):
            value, exact = Fraction(found["mixed"] or 0) + Fraction(top, bottom), True
    elif (found := _POWER.fullmatch(text)) and abs(exponent := int(found["in"] or found["digit"])) <= _EXPONENT:
        value = Fraction(found["factor"] or 1) * Fraction(10) ** exponent
        exact = "." not in (found["factor"] or "") and exponent >= 0
    if value is None or found is None:
        return None
    return Number(-value if found["sign"] == "-" else value, exact, percent)


def _short_fraction(text: str) -> str:
    return re.sub(r"\\frac\s*(\d)\s*(\d)(?!\d)", r"\\frac{\1}{\2}", text)


def same_number(gold: Number, answer: Number) -> bool:
    """Whether a number is the right one.

    Whole numbers and fractions must be equal; where either is a decimal and the gold is no whole number, it may be off
    by `TOLERANCE`: for 1/3, 0.3333 is right and 0.333 is not.
    """
    loose = not (gold.exact and answer.exact)
    return any(close(g, a, loose) for g in gold.readings() for a in answer.readings())


def close(gold: Fraction, answer: Fraction, loose: bool) -> bool:
    """Whether two values are equal, or nearly so if that is enough and the gold is no whole number."""
    if gold == answer:
        return True
    return loose and gold.denominator != 1 and abs(gold - answer) <= abs(gold) * TOLERANCE


_BASED = re.compile(r"([0-9A-F]+)\s*_\s*\{?\s*(\d+)\s*\}?")
_ASSIGNED = re.compile(r"^[a-zA-Z]\s*=\s*")
_LIST = re.compile(r"[^()\[\]{}|]+,[^()\[\]{}|]+")


def in_order(gold: str, answer: str) -> str:
    """A list without brackets takes those of the gold: where order counts, it counts for both."""
    if gold[:1] == "(" and gold[-1:] == ")" and _LIST.fullmatch(gold[1:-1]) and _LIST.fullmatch(answer):
        return f"({answer})"
    return answer


def quick(gold: str, answer: str) -> bool | None:
    """Whether a plain answer is right, where that can be read off; None where it takes algebra.

    It can where both are numbers, or written alike, or have values that are far apart.
    """
    right, given = number(gold), number(answer)
    if right is not None and given is not None:
        return same_number(right, given)
    bases = _BASED.fullmatch(gold), _BASED.fullmatch(answer)
    if bases[0] and bases[1]:
        return bases[0].groups() == bases[1].groups()
    if signature(gold) == signature(answer):
        return True
    if ("=" in gold) != ("=" in answer) and not (gold + answer).count("=") > 1:
        bare = _ASSIGNED.sub("", gold), _ASSIGNED.sub("", answer)
        return quick(*bare) if "=" not in bare[0] + bare[1] else None
    return False if differ(gold, answer) else None


_CALCULATION = re.compile(
    r"[+*!÷]|\\(?:times|cdot|div|sum|prod|int|oint|lim|binom|dbinom|tbinom|choose|pmod|bmod|mod|gcd|lcm|max|min|log|ln|exp|"
    r"lfloor|lceil|sin|cos|tan|cot|det|phi|varphi)(?![a-zA-Z])|(?<=[\d)}])\s*-\s*(?=[\d(\\])|\bmod\b"
)


def calculation(answer: str) -> bool:
    """Whether an answer is a calculation not carried out: if it counted, the question asked back would be right."""
    return _CALCULATION.search(answer) is not None


def variables(text: str) -> bool:
    """Whether a plain text holds letters that stand for something: not those of commands, of units, nor e."""
    return re.search(r"[a-zA-Z]", re.sub(r"\\[a-zA-Z]+|e", "", text)) is not None
