"""`poise verify --describe`: the mechanisms of a file, or of the library, with their constants and bounds."""

import json
import textwrap
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from engine.algorithms.catalogue import Entry, catalogue, read_mechanisms
from engine.algorithms.lint import read_source
from engine.algorithms.recipes import recipes
from engine.errors import Exit, PoiseError
from poise_tui.format import one_line

WIDTH = 100


def describe(what: Path | None, as_json: bool) -> str:
    """What the source says; nothing is run.

    Args:
        what: an algorithm file; or the name of a mechanism of the library, or of a published algorithm, which gives
            the source of its file; None for the whole library.
        as_json: mechanisms as a JSON list instead of text.

    Raises:
        PoiseError: there is no such file or name, the file cannot be read, or lint finds something.
    """
    name = str(what)
    if what is not None and name in recipes() and not what.exists():
        return recipes()[name].file().rstrip()
    entries = _entries(what)
    rows = [_document(entry) for entry in entries]
    if as_json:
        return json.dumps(rows, indent=2)
    text = "\n".join(line for row in rows for line in _lines(row)).rstrip()
    return text if what is not None else f"{text}\n\nPublished algorithms: {', '.join(recipes())}"


def _entries(what: Path | None) -> list[Entry]:
    if what is None:
        return list(catalogue().values())
    if what.is_file():
        return list(read_mechanisms(read_source(what)).values())
    if str(what) in catalogue():
        return [catalogue()[str(what)]]
    near = get_close_matches(str(what), [*catalogue(), *recipes()], n=3)
    like = f"; did you mean {' or '.join(near)}?" if near else ""
    raise PoiseError(f"no file, mechanism or published algorithm {one_line(what)}{like}", Exit.USAGE)


def _document(entry: Entry) -> dict[str, Any]:
    constants = [
        {
            "name": name,
            "type": type(default).__name__,
            "default": default,
            "range": list(entry.ranges[name]) if name in entry.ranges else None,
            "try": list(entry.tunable.get(name, ())),
        }
        for name, default in entry.params.items()
    ]
    return {"name": entry.name, "stages": list(entry.stages), "doc": entry.doc, "constants": constants}


def _lines(row: dict[str, Any]) -> list[str]:
    lines = [f"{one_line(row['name'])} at {', '.join(row['stages']) or 'no stage'}"]
    lines += textwrap.wrap(one_line(row["doc"]), WIDTH, initial_indent="    ", subsequent_indent="    ")
    for c in row["constants"]:
        bounds = f", {c['range'][0]:g} to {c['range'][1]:g}" if c["range"] else ""
        worth = f"; worth trying: {', '.join(f'{v:g}' for v in c['try'])}" if c["try"] else ""
        lines.append(f"      {c['name']}: {c['type']} = {one_line(c['default'])}{bounds}{worth}")
    return [*lines, ""]
