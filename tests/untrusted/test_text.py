"""Text that a candidate or a model wrote: whatever it is, what is shown, prompted or stored stays text, and short."""

from __future__ import annotations

import csv
import io
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.archive.export import to_csv, to_markdown
from engine.archive.tail_metrics import check_point
from engine.process.child import one_line as cause
from engine.search.answers import BadAnswer, ProposalAnswer, ReflectionAnswer, read_answer, read_model
from engine.search.context import LONGEST, repair_messages
from engine.search.text import clean, quoted
from engine.search.text import one_line as prompt_line
from engine.untrusted import many_lines, one_line
from tests.run.test_language_model import CODE

PIECES = [
    *(
        "\x1b[31m",
        "\x1b[2J",
        "\x9b2J",
        "\x1b]0;title\x07",
        "\x1b]8;;http://x\x1b\\",
        "\x1bP1$q\x1b\\",
        "\x1bc",
        "\x1b[",
    ),
    *("\u202e", "\u2066", "\u200b", "\u200f", "\ufeff", "\x00", "\x07", "\x08", "\r", "\n", "\t", "\x7f", "\ud800"),
    *("[red]", "[/red]", "[link=file:///x]", "[@click=app.quit]x[/]", "```", "# Verdict", "word", "ß", "汉"),
]
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=4)).map("".join)
TEN_MEGABYTES = 10 << 20


def obeyed(text: str) -> list[str]:
    """What a terminal could obey."""
    return [c for c in text if not c.isprintable() and c not in "\n\t"]


@given(HOSTILE)
def test_what_is_shown_holds_nothing_a_terminal_obeys(text: str) -> None:
    assert not obeyed(one_line(text)) and "\n" not in one_line(text)
    assert not obeyed(many_lines(text)) and "\t" not in many_lines(text)
    assert not obeyed(cause(text)) and len(cause(text)) <= 300
    assert one_line(one_line(text)) == one_line(text)


@given(HOSTILE)
def test_what_is_prompted_holds_no_control_character_and_closes_no_fence(text: str) -> None:
    for made in (clean(text), quoted(text, 200), prompt_line(text, 200)):
        assert "\x1b" not in made and "\u202e" not in made and "\x00" not in made
    assert "```" not in quoted(text, 200)


@pytest.mark.parametrize("piece", [*PIECES, "a", "[" * 3, "\x1b]" + "a" * 50])
@pytest.mark.parametrize("make", [one_line, many_lines, cause, lambda text: quoted(text, 400)])
def test_ten_megabytes_on_one_line_are_cut_at_once(piece: str, make: Any) -> None:
    text = piece * (TEN_MEGABYTES // len(piece))
    start = time.process_time()
    assert len(make(text)) <= 400_000
    assert time.process_time() - start < 5


@given(HOSTILE)
@settings(deadline=None)
def test_tables_for_other_programs_hold_text_alone(text: str) -> None:
    candidate = dict.fromkeys(
        ("id", "parent", "depth", "status", "overall", "fidelity", "seeds", "created", "finished", "benchmarks"), None
    )
    candidate |= {"gain": None, "rungs": None}
    candidate |= {"name": text, "cause": text, "cost": dict.fromkeys(("train_seconds", "gpu_seconds", "llm_usd"))}
    candidate |= {"proposal": {"hypothesis": text, "mechanisms": [{"name": text, "params": {}}]}}
    candidate |= {"provenance": {"proposer": text, "model": text}}
    run = {"id": "r", "profile": "tiny", "seed": 1, "status": "finished"}
    exported = {"run": run, "baseline": {"overall_mean": None}, "candidates": [candidate], "trials": []}
    markdown, table = to_markdown(exported), to_csv(exported)
    assert not obeyed(markdown) and len(markdown.splitlines()) == 7
    (row,) = csv.DictReader(io.StringIO(table))
    assert not obeyed(table.replace("\r", "")) and not row["name"].startswith(("=", "+", "-", "@"))


def test_a_formula_is_no_formula_in_a_spreadsheet() -> None:
    from engine.archive.export import _plain

    assert _plain("=HYPERLINK(1)") == "'=HYPERLINK(1)" and _plain("a=b") == "a=b" and _plain(-1.5) == -1.5


def test_an_answer_cannot_set_a_score_or_anything_else_than_its_fields() -> None:
    more = {"overall": 99.0, "status": "scored", "flags": [], "benchmarks": {"add": {"value": 100}}, "parent": "c007"}
    proposal = {"name": "Gentle-GRPO", "hypothesis": "Clipped tokens keep some gradient.", "code": CODE}
    answer = read_answer(json.dumps({**proposal, **more}))
    assert not set(vars(answer)) & set(more)
    reflection = {"verdict": "v", "reading": "r", "suggestion": "s"}
    read = read_model(json.dumps({**reflection, **more}), ReflectionAnswer).model_dump(exclude_unset=True)
    assert read == reflection
    assert not (set(ProposalAnswer.model_fields) | set(ReflectionAnswer.model_fields)) & set(more)


@pytest.mark.parametrize("constant", ["x" * 101, "\x1b[31m", "a\nb", "\u202e"])
def test_a_constant_is_no_place_for_a_text(constant: str) -> None:
    code = CODE.replace("share=0.25", f"share={constant!r}")
    proposal = {"name": "Gentle-GRPO", "hypothesis": "Clipped tokens keep some gradient.", "code": code}
    with pytest.raises(BadAnswer, match=r"share must be at most 100 printable characters"):
        read_answer(json.dumps(proposal))


def test_an_endless_answer_is_not_sent_back_whole() -> None:
    messages = repair_messages([], "x" * TEN_MEGABYTES, ["y" * TEN_MEGABYTES] * 50)
    assert sum(len(m["content"]) for m in messages) < LONGEST + 10 * 500


@given(st.text(max_size=60), st.integers() | st.floats() | st.text())
def test_metrics_of_any_content_become_finite_numbers_and_clean_names(name: str, value: Any) -> None:
    point = check_point(json.dumps({"step": 1, "reward": value, "parts": {name: value}}).encode())
    assert all(not obeyed(part) for part in point["parts"])
    assert json.loads(json.dumps(point, allow_nan=False)) == point
