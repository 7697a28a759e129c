"""Untrusted text (answers, reflections, causes) made fit for prompts and the screen; secrets taken out."""

from __future__ import annotations

import os
import re
import unicodedata

_ANSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SECRET = re.compile(
    r"\b(?:(?:sk|pk|rk|xai|glpat)-|(?:gsk|hf|ghp|pk)_|AIza|AKIA)[-_A-Za-z0-9]{16,}"
    r"|(?<=earer )[-._~+/A-Za-z0-9]{8,}=*"
    r"|(?i:(?<=api[-_]key[=:])|(?<=api[-_]key=\s))[^\s&\"',}\\]{8,}"
)
SHORTEST_SECRET = 8
ROOM = 8
"""Times the limit that is looked at: a text of megabytes costs no more than this."""


def clean(text: str, limit: int | None = None) -> str:
    """Without escape sequences, control or invisible characters (but newline and tab); cut at `limit`."""
    if limit is not None:
        text = text[: ROOM * limit]
    text = _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    # Of a text's few different characters each is looked up once.
    hidden = [c for c in set(text) if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co")]
    if hidden:
        text = text.translate(dict.fromkeys(map(ord, hidden)))
    return text if limit is None or len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"


def quoted(text: str, limit: int) -> str:
    """Cleaned, and unable to open or close a code fence of the prompt it is put in."""
    return clean(text, limit).replace("```", "'''")


def one_line(text: str, limit: int = 300) -> str:
    """The text's words on one line."""
    return clean(" ".join(clean(text[: ROOM * limit]).split()), limit)


def redact(text: str) -> str:
    """Without this process's secrets: values of variables named like keys, and whatever looks like one."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST_SECRET and _SECRET_NAME.search(name):
            text = text.replace(value, "[secret]")
    return _SECRET.sub("[secret]", text)
