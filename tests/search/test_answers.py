"""A model's answer is used whole or refused with reasons it can act on."""

from __future__ import annotations

import ast
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.algorithms.lint import MAX_SOURCE
from engine.search.answers import (
    LONGEST_ANSWER,
    BadAnswer,
    ProposalAnswer,
    read_algorithm,
    read_answer,
    stated_claims,
    with_claims,
    with_name,
)
from tests.search.samples import answer_text, choice

GOOD = json.loads(answer_text("Good-GRPO", "ClipHigher"))
CODE = GOOD["code"]
CALL = "algorithm = Algorithm("


def with_code(code: str) -> str:
    return json.dumps({**GOOD, "code": code})


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        f"```json\n{json.dumps(GOOD, indent=2)}\n```",
        f"Here is my proposal:\n\n{json.dumps(GOOD)}\n\nGood luck {{you}}!",
        f"<think>{{maybe}}</think>{json.dumps(GOOD)}",
        json.dumps({**GOOD, "extra": [1, 2]}),
    ],
    ids=["bare", "fence", "prose around", "braces before", "extra keys"],
)
def test_a_good_answer_is_found_wherever_it_stands(text: str) -> None:
    answer = read_answer(text)
    assert (answer.name, answer.mechanisms) == ("Good-GRPO", (choice("ClipHigher"),))
    assert answer.code == CODE and answer.hypothesis == GOOD["hypothesis"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no JSON object"),
        ("I cannot help with that.", "no JSON object"),
        (json.dumps(GOOD)[:-40], "no JSON object"),
        ("[1, 2, 3]", "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ("{" * 3_000, "no JSON object"),
        (json.dumps({**GOOD, "code": None}), "code:"),
        (json.dumps({k: GOOD[k] for k in ("name", "code")}), "hypothesis: Field required"),
        (json.dumps({**GOOD, "hypothesis": "short"}), "hypothesis:"),
        (json.dumps({**GOOD, "code": "x" * (MAX_SOURCE + 1)}), "code:"),
        ("x" * (LONGEST_ANSWER + 1), "the limit is"),
        (with_code(CODE + "\ndef broken(:\n"), "syntax error"),
        (with_code("import os\n" + CODE), "import of os is not allowed"),
        (with_code("from engine.search import llm\n" + CODE), "import of engine.search is not allowed"),
        (with_code(CODE.replace("        clipped", "        eval('1')\n        clipped")), "eval() is not allowed"),
        (with_code(CODE.split(CALL)[0]), "`algorithm`"),
        (with_code(CODE.split(CALL)[0] + "algorithm = make()\n"), "`algorithm` must be assigned a call"),
        (with_code(CODE.split(CALL)[0] + CALL + 'name="X", mechanisms=())\n'), "at least one"),
        (with_code(CODE.split(CALL)[0] + CALL + 'name="X", mechanisms=MECHANISMS)\n'), "written out as a tuple"),
        (with_code(CODE.split(CALL)[0] + CALL + 'name="X", mechanisms=(Nothing(),))\n'), "Nothing is not a subclass"),
        (with_code(CODE.split(CALL)[0] + CALL + 'name="X", mechanisms=(ClipHigher(width=1),))\n'), "no constant width"),
        (with_code(CODE.split(CALL)[0] + CALL + 'name="X", mechanisms=(ClipHigher(low=f()),))\n'), "plain number"),
        (
            with_code(CODE.split(CALL)[0] + CALL + 'name="X", mechanisms=(ClipHigher(), ClipHigher()))\n'),
            "listed twice",
        ),
        (with_code(CODE.replace('"Good-GRPO"', '"<b>"')), "name must be"),
        (with_code(CODE.replace("def surrogate", "def surrogat")), "ClipHigher hooks no stage"),
    ],
)
def test_a_bad_answer_is_refused_with_a_reason(text: str, told: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        read_answer(text)
    assert told in str(caught.value)
    assert all(p and "\n" not in p and len(p) < 500 for p in caught.value.problems)


def test_two_replacers_of_a_stage_are_refused_before_anything_runs() -> None:
    two = CODE.replace("class ClipHigher", "class Second").split(CALL)[0].split("class Second")[1]
    code = CODE.split(CALL)[0] + "\n\nclass Second" + two + CALL + 'name="X", mechanisms=(ClipHigher(), Second()))\n'
    with pytest.raises(BadAnswer, match="both replace the stage surrogate"):
        read_answer(with_code(code))


def test_control_characters_and_escape_sequences_do_not_get_through() -> None:
    dirty = {
        **GOOD,
        "hypothesis": "\x1b[31mred\x1b[0m \x00text\u202e that\u200b is long enough",
        "code": CODE + "# \x07\x1b]0;title\x07\n",
    }
    answer = read_answer(json.dumps(dirty))
    assert answer.hypothesis == "red text that is long enough"
    assert not any(ord(c) < 32 and c != "\n" for c in answer.code)


def test_positional_constants_and_defaults_are_read() -> None:
    code = CODE.replace("ClipHigher(low=0.2, high=0.28)", "ClipHigher(0.1)")
    assert read_algorithm(code)[1] == (choice("ClipHigher", low=0.1),)


@given(st.text())
def test_any_text_is_an_answer_or_a_bad_answer(text: str) -> None:
    with pytest.raises(BadAnswer):
        read_answer(text)


@pytest.mark.parametrize(
    "assignment", ['Algorithm("Öld", (ClipHigher(),))', 'Algorithm(mechanisms=(ClipHigher(),), name="Öld")']
)
def test_renaming_changes_the_name_and_nothing_else(assignment: str) -> None:
    code = CODE.split(CALL)[0] + f"algorithm = {assignment}  # ö\n"
    assert with_name(code, "New-GRPO") == code.replace("Öld", "New-GRPO")


def test_what_is_expected_becomes_a_claim_that_verification_measures() -> None:
    answer = read_answer(json.dumps({**GOOD, "expected": ["weakens_kl", "no_std_division"], "risks": ["none"]}))
    assert answer.expected == stated_claims(answer.code) == ("weakens_kl", "no_std_division")
    again = read_answer(json.dumps({**GOOD, "code": answer.code, "expected": ["weakens_kl", "lifts_all_pass"]}))
    assert again.expected == stated_claims(again.code) == ("weakens_kl", "no_std_division", "lifts_all_pass")
    assert read_algorithm(again.code) == read_algorithm(CODE)


def test_a_claim_that_does_not_exist_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(BadAnswer, match="did you mean penalises_length"):
        read_answer(json.dumps({**GOOD, "expected": ["penalizes_length"]}))


@pytest.mark.parametrize(
    "assignment",
    [
        'Algorithm("Öld", (ClipHigher(),))',
        'Algorithm("Öld", (ClipHigher(),), ("weakens_kl",))',
        'Algorithm(name="Öld", mechanisms=((ClipHigher()),),  # ö, a comment\n)',
        'Algorithm(\n    name="Öld",\n    mechanisms=(\n        ClipHigher(),\n    ),\n    claims=("weakens_kl",\n))',
        'Algorithm(claims="weakens_kl", name="Öld", mechanisms=(ClipHigher(),))',
    ],
)
@pytest.mark.parametrize("claims", [(), ("lifts_all_pass",), ("lifts_all_pass", "weakens_kl")])
def test_claims_are_put_into_a_file_however_it_is_written_and_change_nothing_else(
    assignment: str, claims: tuple[str, ...]
) -> None:
    code = CODE.split(CALL)[0] + f"algorithm = {assignment}\nafter = 'ö'\n"
    changed = with_claims(code, claims)
    assert stated_claims(changed) == claims
    assert (changed.split(CALL)[0], changed.splitlines()[-1]) == (code.split(CALL)[0], "after = 'ö'")
    assert ast.dump(ast.parse(with_claims(changed, ()))) == ast.dump(ast.parse(with_claims(code, ())))


def test_an_answer_without_the_newer_fields_is_read_and_the_schema_asks_for_all_of_them() -> None:
    answer = read_answer(json.dumps(GOOD))
    assert (answer.bottleneck, answer.words, answer.risks) == ("", (), ())
    schema = ProposalAnswer.model_json_schema()
    assert set(schema["required"]) == set(schema["properties"]) >= {"bottleneck", "expected", "mechanisms", "risks"}
    assert "default" not in json.dumps(schema)
