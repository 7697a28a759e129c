"""What a model returned, validated: JSON of the right shape, and a file that reads like an algorithm."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.algorithms.catalogue import MechanismChoice, conflicts, key_of, read_mechanisms
from engine.algorithms.lint import MAX_SOURCE, lint
from engine.errors import PoiseError
from engine.search.text import clean, one_line
from engine.verify.vocabulary import WORDINGS, wording

LONGEST_ANSWER = 4 * MAX_SOURCE
LONGEST_HYPOTHESIS = 2_000
LONGEST_CONSTANT = 100
LONGEST_LINE, MOST_LINES = 400, 12
"""Of a bottleneck, a risk, a mechanism in words; lines of a list."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9._+-]{0,47}")


class BadAnswer(ValueError):
    """The answer cannot be used; `problems` says why, one line each, in words a model can act on."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _closed(schema: dict[str, Any]) -> None:
    """Ask for every field and no other, though an answer that leaves some out is read all the same."""
    schema["additionalProperties"] = False
    schema["required"] = list(schema["properties"])
    for field in schema["properties"].values():
        field.pop("default", None)


class ProposalAnswer(BaseModel):
    """The JSON object that a proposal prompt asks for."""

    model_config = ConfigDict(extra="ignore", json_schema_extra=_closed)
    name: str = Field(min_length=1)
    hypothesis: str = Field(min_length=20)
    bottleneck: str = ""
    """What holds the parent back."""
    expected: list[str] = []
    """Claims of engine/verify/vocabulary.py that verification will confirm."""
    mechanisms: list[str] = []
    """What each does, in words."""
    risks: list[str] = []
    code: str = Field(min_length=1, max_length=MAX_SOURCE)


class ReflectionAnswer(BaseModel):
    """The JSON object that a reflection prompt asks for."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"additionalProperties": False})
    verdict: str = Field(min_length=1)
    reading: str = Field(min_length=1)
    suggestion: str = Field(min_length=1)
    never: str | None = None


Wire = TypeVar("Wire", bound=BaseModel)


@dataclass(frozen=True)
class Answer:
    """A usable proposal."""

    name: str
    """As the file names it."""
    hypothesis: str
    code: str
    """With all it expects among the claims that verification measures."""
    mechanisms: tuple[MechanismChoice, ...]
    bottleneck: str = ""
    expected: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """What each mechanism does, as the model put it."""
    risks: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Equal for equal sets of mechanisms."""
        return key_of(self.mechanisms)


def read_answer(text: str) -> Answer:
    """Validate a model's answer to a proposal prompt.

    Raises:
        BadAnswer: with everything that is wrong.
    """
    return read_proposal(read_model(text, ProposalAnswer))


def read_proposal(wire: ProposalAnswer) -> Answer:
    """The file of an answer of the right shape, read.

    Raises:
        BadAnswer: with everything that is wrong.
    """
    code = clean(wire.code).strip() + "\n"
    problems = lint(code)
    if problems:
        raise BadAnswer(problems)
    name, mechanisms = read_algorithm(code)
    stated = stated_claims(code)
    expected = tuple(dict.fromkeys((*stated, *(one_line(c, 80) for c in wire.expected))))
    if unknown := [_unknown(c) for c in expected if c not in WORDINGS]:
        raise BadAnswer(unknown)
    return Answer(
        name,
        one_line(wire.hypothesis, LONGEST_HYPOTHESIS),
        code if expected == stated else with_claims(code, expected),
        mechanisms,
        one_line(wire.bottleneck, LONGEST_LINE),
        expected,
        *(tuple(one_line(x, LONGEST_LINE) for x in given[:MOST_LINES]) for given in (wire.mechanisms, wire.risks)),
    )


def read_model(text: str, model: type[Wire]) -> Wire:
    """The first JSON object of an answer, bare or in a fence, as `model`.

    Raises:
        BadAnswer: none, or not of that shape.
    """
    if len(text) > LONGEST_ANSWER:
        raise BadAnswer([f"the answer has {len(text)} characters; the limit is {LONGEST_ANSWER}"])
    error = "the answer holds no JSON object"
    for candidate in _objects(text):
        try:
            return model.model_validate(candidate)
        except ValidationError as e:
            error = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'answer'}: {p['msg']}" for p in e.errors()[:5])
            break
    raise BadAnswer([one_line(error)])


def read_algorithm(code: str) -> tuple[str, tuple[MechanismChoice, ...]]:
    """Name and mechanisms of an algorithm file, from its `algorithm = Algorithm(...)`, defaults filled in.

    Raises:
        BadAnswer: they cannot be read off, or cannot work together.
    """
    tree = ast.parse(code)
    call = next((c for node in reversed(tree.body) if (c := _algorithm_call(node)) is not None), None)
    if call is None:
        raise BadAnswer(["`algorithm` must be assigned a call of Algorithm(name=..., mechanisms=(...))"])
    given = {k.arg: k.value for k in call.keywords}
    name_node, tuple_node = (
        given.get(k) or (call.args[i] if len(call.args) > i else None) for i, k in enumerate(("name", "mechanisms"))
    )
    problems = []
    name = name_node.value if isinstance(name_node, ast.Constant) and isinstance(name_node.value, str) else ""
    if not NAME.fullmatch(name):
        problems.append("Algorithm's name must be a string of at most 48 letters, digits and . _ + -, a letter first")
    entries = read_mechanisms(code)
    choices: list[MechanismChoice] = []
    if not isinstance(tuple_node, (ast.Tuple, ast.List)) or not tuple_node.elts:
        problems.append("mechanisms must be written out as a tuple of calls, at least one: (Class(constant=0.1), ...)")
    else:
        for element in tuple_node.elts:
            choice = _choice(element, {n: list(e.params) for n, e in entries.items()})
            if isinstance(choice, str):
                problems.append(choice)
            else:
                choices.append(entries[choice.name].choice(**choice.params))
    names = [c.name for c in choices]
    problems += [f"mechanism {n} is listed twice" for n in sorted({n for n in names if names.count(n) > 1})]
    problems += [f"{n} hooks no stage" for n in names if not entries[n].stages]
    order = given.get("order")
    ordered = [k.value for k in order.keys if isinstance(k, ast.Constant)] if isinstance(order, ast.Dict) else []
    problems += conflicts([entries[n] for n in dict.fromkeys(names)], [str(stage) for stage in ordered])
    if problems:
        raise BadAnswer(problems)
    return name, tuple(choices)


def with_name(code: str, name: str) -> str:
    """The file with its algorithm's name replaced."""
    call = _call_of(code)
    node = next((k.value for k in call.keywords if k.arg == "name"), None) or call.args[0]
    return _replaced(code, node, json.dumps(name))


def stated_claims(code: str) -> tuple[str, ...]:
    """What `Algorithm(claims=(...))` says, as far as it is written out."""
    node = _claims_node(_call_of(code))
    with suppress(ValueError):
        said = ast.literal_eval(node) if node is not None else ()
        return (said,) if isinstance(said, str) else tuple(str(claim) for claim in said)
    return ()


def with_claims(code: str, claims: Sequence[str]) -> str:
    """The file with its algorithm's claims replaced."""
    call = _call_of(code)
    said = f"({', '.join(json.dumps(c) for c in claims)}{',' if len(claims) == 1 else ''})"
    if (node := _claims_node(call)) is not None:
        return _replaced(code, node, said)
    if call.keywords:
        return _inserted(code, call.keywords[-1], f"claims={said}, ")
    return _inserted(code, call, f", claims={said}", from_end=1)


def _call_of(code: str) -> ast.Call:
    return next(c for node in reversed(ast.parse(code).body) if (c := _algorithm_call(node)) is not None)


def _claims_node(call: ast.Call) -> ast.expr | None:
    return next((k.value for k in call.keywords if k.arg == "claims"), call.args[2] if len(call.args) > 2 else None)


def _replaced(code: str, node: ast.expr, text: str) -> str:
    """The file with one expression's source replaced."""
    return _spliced(code, (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0), text)


def _inserted(code: str, node: ast.expr | ast.keyword, text: str, from_end: int | None = None) -> str:
    """The file with a text before an expression, or so many bytes before its end."""
    at = (node.lineno, node.col_offset)
    if from_end is not None:
        at = (node.end_lineno or 0, (node.end_col_offset or 0) - from_end)
    return _spliced(code, at, at, text)


def _spliced(code: str, start: tuple[int, int], end: tuple[int, int], text: str) -> str:
    """The file with what lies between two (line, column) replaced; columns of an AST count bytes."""
    lines = code.splitlines(keepends=True)
    head, tail = lines[start[0] - 1].encode()[: start[1]], lines[end[0] - 1].encode()[end[1] :]
    return "".join([*lines[: start[0] - 1], head.decode() + text + tail.decode(), *lines[end[0] :]])


def _unknown(claim: str) -> str:
    try:
        wording(claim)
    except PoiseError as e:
        return str(e)
    return ""


def _objects(text: str) -> Iterator[Any]:
    """JSON objects in a text, from the outermost first `{` on."""
    decoder, at = json.JSONDecoder(strict=False), text.find("{")
    while at != -1:
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield found
        at = text.find("{", end)


def _algorithm_call(node: ast.stmt) -> ast.Call | None:
    if isinstance(node, ast.Assign):
        targets: list[ast.expr] = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    else:
        return None
    value = node.value
    named = any(isinstance(t, ast.Name) and t.id == "algorithm" for t in targets)
    if (
        named
        and isinstance(value, ast.Call)
        and getattr(value.func, "id", getattr(value.func, "attr", "")) == "Algorithm"
    ):
        return value
    return None


def _choice(node: ast.expr, known: dict[str, list[str]]) -> MechanismChoice | str:
    """One element of the mechanisms tuple, or what is wrong with it."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return f"line {node.lineno}: write each mechanism as Class(constant=0.1)"
    name = node.func.id
    if name not in known:
        return f"line {node.lineno}: {name} is not a subclass of Mechanism defined in this file"
    pairs = [*zip(known[name], node.args, strict=False), *((k.arg or "**", k.value) for k in node.keywords)]
    params = {}
    for key, value in pairs:
        if key not in known[name]:
            return f"line {node.lineno}: {name} has no constant {key}"
        try:
            params[key] = ast.literal_eval(value)
        except ValueError:
            params[key] = None
        value = params[key]
        if not isinstance(value, (bool, int, float, str)):
            return f"line {node.lineno}: {name}'s {key} must be a plain number, bool or string"
        if isinstance(value, str) and value != one_line(value, LONGEST_CONSTANT):
            return f"line {node.lineno}: {name}'s {key} must be at most {LONGEST_CONSTANT} printable characters"
    return MechanismChoice(name, params)
