"""A verification's report comes from where candidate code ran: it is read as data, never believed to be a report."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.algorithms.render import render
from engine.loop.report import read_report
from engine.search.twins import find_twin
from engine.verify.verify import verify

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A real one."""
    file = tmp_path_factory.mktemp("a") / "algorithm.py"
    file.write_text(render("Plain-GRPO", "nothing changes", ()))
    made: dict[str, Any] = verify(file)
    return made


def test_a_real_report_is_read_as_it_is(report: dict[str, Any]) -> None:
    assert report["passed"]
    assert read_report(report) == report


@given(st.data())
def test_a_report_with_a_field_of_any_other_content_is_none_or_one_of_clean_fields(
    report: dict[str, Any], data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(sorted(report)))
    found = read_report({**report, key: data.draw(JSON), "overall": 99.0})
    assert isinstance(found["passed"], bool) and "overall" not in found
    assert found["cause"] is None or found["cause"].isprintable()


def test_sequences_and_megabytes_do_not_pass(report: dict[str, Any]) -> None:
    hostile = "\x1b]0;x\x07\u202e" + "[red]" * (1 << 20)
    check = {"name": hostile, "passed": True, "detail": hostile}
    found = read_report({**report, "checks": [check], "warnings": [hostile]})
    shown = [found["checks"][0]["name"], found["checks"][0]["detail"], found["warnings"][0]]
    assert all(text.isprintable() and len(text) <= 4000 for text in shown)
    assert not read_report({**report, "checks": [check] * 1000})["passed"]


@pytest.mark.parametrize("signature", [{}, {"a": {"b": None}}, {"x": {"policy": ["1"]}}, {"a": {}}])
def test_a_signature_that_cannot_be_compared_resembles_nothing(report: dict[str, Any], signature: Any) -> None:
    forged = {**read_report(report), "signature": signature, "fingerprint": "0" * 16, "profile_fingerprint": None}
    assert find_twin("c002", {"c001": read_report(report), "c002": forged}) is None
    assert find_twin("c002", {"c001": forged, "c002": {**read_report(report), "fingerprint": "1" * 16}}) is None
