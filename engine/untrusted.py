"""Text that candidates and models wrote, made fit to be seen: for screens, logs, causes and tables.

What goes into a prompt passes `engine.search.text.quoted` instead, which also keeps code fences closed.
"""

from __future__ import annotations

import re

ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x1b\\|\x07|$)|[ -/]*[0-~])|\x9b[0-?]*[ -/]*[@-~]", re.DOTALL
)
"""Terminal sequences as a whole (CSI, OSC and their kin), so that their parameters vanish with them."""
LINE, TEXT = 4_000, 400_000
"""Characters that are kept of a line, and of a text with several."""
ROOM = 8
"""Times the limit that is looked at: a text of megabytes costs no more than this."""


def one_line(text: object, limit: int = LINE) -> str:
    """As one line without terminal sequences, control or bidirectional characters, cut at `limit`."""
    line = _without_sequences(text, limit)
    if not line.isprintable():  # most lines are
        line = "".join(c if c.isprintable() else " " for c in line)
    return _cut(" ".join(line.split()), limit)


def many_lines(text: object, limit: int = TEXT) -> str:
    """With its line breaks kept, tabs as four blanks, and nothing else that a terminal obeys; cut at `limit`."""
    stripped = _without_sequences(text, limit).replace("\r\n", "\n").expandtabs(4)
    return _cut("".join(c if c == "\n" or c.isprintable() else " " for c in stripped), limit)


def _without_sequences(text: object, limit: int) -> str:
    return ESCAPES.sub("", str(text)[: ROOM * limit])


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"
