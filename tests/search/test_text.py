"""Untrusted text and secrets."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.search.text import clean, one_line, quoted, redact


@given(st.text())
def test_clean_text_holds_no_control_character_but_newline_and_tab(text: str) -> None:
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t" for c in clean(text))
    assert clean(clean(text)) == clean(text)


@given(st.text(), st.integers(0, 50))
def test_limits_hold(text: str, limit: int) -> None:
    assert len(clean(text, limit)) <= max(limit, 1)
    assert "\n" not in one_line(text, limit) and "```" not in quoted(text, 200)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefghijklmnop1234",
        "AIzaSyA1234567890abcdefghijk",
        "hf_abcdefghijklmnopqrst",
        "gsk_abcdefghijklmnopqrst",
    ],
)
def test_what_looks_like_a_key_is_taken_out(secret: str) -> None:
    for text in (f"bad key {secret}.", f'{{"key": "{secret}"}}', f"Bearer {secret}"):
        assert secret not in redact(text)


def test_values_of_variables_named_like_keys_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PROVIDER_API_KEY", "plain-looking words")
    monkeypatch.setenv("SHORT_TOKEN", "abc")
    assert redact("it said plain-looking words and abc") == "it said [secret] and abc"
    assert redact("https://h/v1?api_key=0123456789&x=1") == "https://h/v1?api_key=[secret]&x=1"


def test_ordinary_prose_and_code_are_left_alone() -> None:
    text = "skip-connections, sk-learn, task-specific hf; loss = -torch.min(ratio * m.advantages)"
    assert redact(text) == text
