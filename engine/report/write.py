"""The whole report: sections in their order, and the two files."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from engine.archive.files import read_limited, write_atomic
from engine.archive.folder import RunFolder
from engine.errors import Exit, PoiseError
from engine.report.answer import answer, what
from engine.report.attribution import attribution
from engine.report.blocks import Block, Prose, Report, Section, Text
from engine.report.confirmation import confirmation
from engine.report.control_arm import control_arm
from engine.report.costs import costs
from engine.report.dynamics import dynamics
from engine.report.failures import failures
from engine.report.frontier import frontier
from engine.report.html import to_html
from engine.report.leaderboard import leaderboard
from engine.report.lineage import lineage
from engine.report.markdown import to_markdown
from engine.report.repeat import repeat, winner
from engine.report.story import MOST_BYTES, Story, read_story
from engine.untrusted import one_line

SECTIONS: tuple[tuple[str, str, Callable[[Story], list[Block]]], ...] = (
    ("run", "What this run is", what),
    ("lineage", "Lineage", lineage),
    ("frontier", "Best so far", frontier),
    ("leaderboard", "Leaderboard", leaderboard),
    ("dynamics", "Training dynamics", dynamics),
    ("confirmation", "Confirmation", confirmation),
    ("attribution", "What each mechanism pays", attribution),
    ("knowledge", "What the run has learnt", lambda story: knowledge(story)),
    ("control", "Control arm", control_arm),
    ("costs", "Costs", costs),
    ("failures", "What came to nothing", failures),
    ("repeat", "Repeat it", repeat),
    ("winner", "The algorithm", winner),
)


def write_report(folder: RunFolder, out: Path | None = None) -> tuple[Path, Path]:
    """Write a run's report as HTML and, beside it, as Markdown.

    Args:
        folder: of a run that is going on or has ended; only read, but for the two files.
        out: the HTML file; `report.html` in the run's folder if None.

    Returns:
        both paths.

    Raises:
        PoiseError: the run has no readable archive; refused (4) where the files cannot be written.
    """
    html = out or folder.path / "report.html"
    markdown = html.with_suffix(".md")
    report = make_report(read_story(folder))
    for path, text in ((html, to_html(report)), (markdown, to_markdown(report))):
        try:
            write_atomic(path, text.encode("utf-8", "replace"), durable=False)
        except OSError as error:
            raise PoiseError(f"cannot write {path}: {error.strerror}", Exit.REFUSED) from None
    return html, markdown


def make_report(story: Story) -> Report:
    """A run's report as blocks."""
    run = one_line(story.run["id"], 80)
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime())
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(story.run["created"]))
    subtitle = f"Profile {one_line(story.run['profile'], 60)}, begun {began}, {story.run['status']}; report of {made}"
    sections = [Section(id, title, make(story)) for id, title, make in SECTIONS]
    return Report(f"POISE run {run}", subtitle, answer(story), sections)


def knowledge(story: Story) -> list[Block]:
    """The run's knowledge page as it stands."""
    try:
        return [Prose(read_limited(story.folder.knowledge, MOST_BYTES).decode("utf-8", "replace"))]
    except (OSError, PoiseError):
        return [Text("The run has no knowledge page yet.", "muted")]
