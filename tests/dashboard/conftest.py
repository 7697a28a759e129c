"""Every test of the dashboard gets the same terminal, whatever the one it is run from."""

import locale

import pytest


@pytest.fixture(autouse=True)
def own_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "POISE_ASCII", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(locale, "getencoding", lambda: "UTF-8")
