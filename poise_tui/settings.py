"""The user's configuration: one TOML file with the keys that are to do what."""

import os
import tomllib
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textual.keys import KEY_NAME_REPLACEMENTS, Keys

from engine.errors import Exit, PoiseError
from engine.untrusted import one_line
from poise_tui.screens.keys import BY_ID, KEYS, Keymap, shown

NAMED = frozenset(key.value for key in Keys) | {"space", "comma"}
MODIFIERS = ("ctrl", "shift", "alt")


def settings_path(environ: Mapping[str, str] = os.environ) -> Path:
    """`poise/config.toml` in the XDG folder for configuration."""
    chosen = environ.get("XDG_CONFIG_HOME", "")
    # The XDG specification: a relative path there is invalid and must be ignored.
    base = Path(chosen) if chosen.startswith("/") else Path.home() / ".config"
    return base / "poise" / "config.toml"


def read_keymap(path: Path) -> Keymap:
    """The keys that a configuration gives to verbs; none if there is no such file.

        [keys]
        prune = "ctrl+x"
        help = ["?", "f1"]

    Raises:
        PoiseError: usage (2): what is wrong in which line of thought, and what would be right.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise PoiseError(f"{path} cannot be read: {error}", Exit.USAGE) from None
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PoiseError(f"{path} is no TOML: {error}", Exit.USAGE) from None
    try:
        return keymap(found)
    except PoiseError as error:
        raise PoiseError(f"{path}: {error}", error.code) from None


def keymap(found: Mapping[str, Any]) -> Keymap:
    """The keys of a configuration, checked: known verbs, known keys, none twice.

    Raises:
        PoiseError: usage (2).
    """
    if unknown := [name for name in found if name != "keys"]:
        raise _wrong(f"there is no table or option {one_line(unknown[0])}; there is [keys]")
    table = found.get("keys", {})
    if not isinstance(table, dict):
        raise _wrong('write [keys] and below it lines such as prune = "ctrl+x"')
    result = {}
    for verb, wanted in table.items():
        if verb not in BY_ID:
            raise _wrong(f"keys.{one_line(verb)}: no such verb; there are {', '.join(BY_ID)}")
        names = [wanted] if isinstance(wanted, str) else wanted
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise _wrong(f"keys.{verb}: give a key, or a list of keys")
        result[verb] = ",".join(_key(verb, name) for name in names)
    holders: dict[str, str] = {}
    for key in KEYS:
        for name in result.get(key.id, key.keys).split(","):
            if name in holders:
                both = f"{holders[name]} and {key.id}"
                raise _wrong(f"{shown(key, {key.id: name})} would do both {both}: give one of them another key")
            holders[name] = key.id
    return result


def _key(verb: str, name: str) -> str:
    """A key as Textual names it: from `?`, `^x`, `ctrl+x`, `f1`, `pagedown`, `question_mark`."""
    if name.startswith("^") and len(name) == 2:
        name = f"ctrl+{name[1]}"
    if len(name) == 1 and not name.isalnum() and name.isprintable():
        long = unicodedata.name(name).lower().replace("-", "_").replace(" ", "_")
        return KEY_NAME_REPLACEMENTS.get(long, long)
    *modifiers, last = name.split("+")
    single = len(last) == 1 and last.isalnum()
    if all(m in MODIFIERS for m in modifiers) and (single or last in NAMED or _character(last) or name in NAMED):
        return name
    raise _wrong(f"keys.{verb}: there is no key {one_line(name)!r}; write x, ?, ctrl+x, f2, pagedown, space")


def _character(name: str) -> bool:
    """Whether it is the long name of a character, such as question_mark."""
    known = {new: old for old, new in KEY_NAME_REPLACEMENTS.items()}.get(name, name)
    try:
        unicodedata.lookup(known.replace("_", " ").upper())
    except KeyError:
        return False
    return True


def _wrong(why: str) -> PoiseError:
    return PoiseError(why, Exit.USAGE)
