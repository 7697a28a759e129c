"""The commands that the documents tell a reader to type."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "runs/README.md",
    *(f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md"))),
)


@dataclass(frozen=True)
class Typed:
    """A command, and where it stands."""

    document: str
    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {' '.join(self.words)}"


def typed(document: str, program: str = "poise") -> list[Typed]:
    """Every command line of a document's blocks that calls the program, without comments and redirections.

    Alternatives (`pin|unpin`) are a command each; a line may hold several, set apart by two blanks, `&&` or `;`.
    """
    found = []
    for number, line in enumerate((ROOT / document).read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("    ") and not line.startswith("poise "):
            continue
        text = re.sub(r"(?:^|\s)#\s.*$|\s+>\s.*$|\s+&$", "", line)
        for part in re.split(r"\s{2,}(?=poise )|&&|;", text):
            words = _words(part.strip())
            if words[:1] == [program]:
                found += [Typed(document, number, tuple(w)) for w in _alternatives(words)]
    return found


def _words(text: str) -> list[str]:
    text = re.split(r"\s{2,}(?![A-Z\[\-])", text)[0]  # what stands further right explains
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _alternatives(words: list[str]) -> list[list[str]]:
    if len(words) < 2 or "|" not in words[1]:
        return [words]
    return [[words[0], one, *words[2:]] for one in words[1].split("|")]
