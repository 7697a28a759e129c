"""The user's configuration: keys are remapped everywhere, and what is wrong in it is said in a line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Exit, PoiseError
from poise_tui.screens.dialogs import Help, Question
from poise_tui.screens.keys import BY_ID, shown
from poise_tui.settings import keymap, read_keymap, settings_path
from tests.dashboard import recorded
from tests.dashboard.recorded import screen, until
from tests.dashboard.test_keys import Recorder
from tests.dashboard.test_pty import Terminal


def test_it_lies_in_the_xdg_folder_and_none_is_none(tmp_path: Path) -> None:
    assert settings_path({"XDG_CONFIG_HOME": "/c"}) == Path("/c/poise/config.toml")
    assert settings_path({"XDG_CONFIG_HOME": "relative"}) == Path.home() / ".config/poise/config.toml"
    assert read_keymap(tmp_path / "none.toml") == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[keys]\nprune = ", "is no TOML"),
        ("[keys]\nprun = 'x'", "keys.prun: no such verb; there are down, up"),
        ("[keys]\nprune = 3", "keys.prune: give a key, or a list of keys"),
        ("[keys]\nprune = []", "keys.prune: give a key"),
        ("[keys]\nprune = 'hyper+x'", "keys.prune: there is no key 'hyper+x'; write x, ?, ctrl+x"),
        ("[keys]\nprune = 'd'", "d would do both fold-dead and prune"),
        ("[keys]\nprune = '?'", "? would do both prune and help"),
        ("[colours]\n", "there is no table or option colours; there is [keys]"),
        ("keys = 3", "write [keys]"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(text: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(PoiseError, match=re.escape(why)) as raised:
        read_keymap(file)
    assert str(raised.value).startswith(str(file)) and raised.value.code == Exit.USAGE


WANTED = st.text(max_size=8) | st.lists(st.text(max_size=3)) | st.none()


@given(found=st.dictionaries(st.sampled_from([*BY_ID]), WANTED))
def test_any_table_is_a_keymap_or_one_clear_line(found: dict[str, Any]) -> None:
    said = ""
    try:
        assert keymap({"keys": found}).keys() == found.keys()
    except PoiseError as error:
        said = str(error)
    assert said.isprintable()


async def test_a_remapped_key_is_dispatched_helped_and_hinted_and_the_old_one_does_nothing(tmp_path: Path) -> None:
    wanted = {"prune": "ctrl+x", "help": ["f1", "?"], "down": "n", "promote": "J", "back": ["escape", "b"], "best": "!"}
    made = keymap({"keys": wanted})
    app = Recorder(folder=recorded.write(tmp_path, status="running"), keymap=made)
    async with app.run_test(size=(150, 100)) as pilot:
        await until(pilot, lambda: "c004" in screen(app), "the run")
        assert "^x prune" in screen(app) and "F1 help" in screen(app)
        await pilot.press("n", "x", "j")
        assert app.shown.selected == "c001" and not isinstance(app.screen, Question)
        await pilot.press("ctrl+x")
        await until(pilot, lambda: isinstance(app.screen, Question), "the question")
        await pilot.press("escape", "f1")
        await until(pilot, lambda: isinstance(app.screen, Help), "the help")
        assert "^x         prune" in screen(app) and "F1, ?" in screen(app)
        await pilot.press("b")  # the key for back goes back here too
        await until(pilot, lambda: not isinstance(app.screen, Help), "back")
        assert shown(BY_ID["back"], app.keymap) == "Esc, b"


@pytest.mark.pty
def test_a_wrong_configuration_is_one_line_before_the_dashboard_opens(tmp_path: Path) -> None:
    recorded.write(tmp_path)
    (tmp_path / "poise").mkdir()
    (tmp_path / "poise/config.toml").write_text("[keys]\nprune = 'd'\n")
    terminal = Terminal(tmp_path, 24, 80, XDG_CONFIG_HOME=str(tmp_path))
    assert terminal.ended() == (2, None)
    said = (terminal.child.before or b"").decode()
    assert "d would do both fold-dead and prune" in said and "Traceback" not in said and len(said.splitlines()) == 1
