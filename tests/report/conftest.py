"""One made-up run for all tests that only look at its report."""

from pathlib import Path

import pytest

from engine.archive.folder import RunFolder
from engine.report.blocks import Bullets, Cell, Heading, Report, Section, Table, Text
from engine.report.story import Story, read_story
from engine.report.write import make_report
from tests.report.made_up import make_run


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with all that a report tells of; not to be written to, but for its report."""
    return make_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def story(made_up: RunFolder) -> Story:
    return read_story(made_up)


@pytest.fixture(scope="session")
def report(story: Story) -> Report:
    return make_report(story)


def section(report: Report, id: str) -> Section:
    """One section of a report."""
    return next(s for s in report.sections if s.id == id)


def said(section: Section) -> str:
    """Everything a section says in words."""
    parts: list[str] = []
    for block in section.blocks:
        match block:
            case Text(text) | Heading(text):
                parts.append(text)
            case Bullets(items):
                parts += items
            case Table():
                parts += [" | ".join(map(text_of, row)) for row in block.rows]
    return "\n".join(parts)


def text_of(cell: Cell | str) -> str:
    return cell if isinstance(cell, str) else cell.text


def rows(table: Table) -> list[list[str]]:
    """A table's rows as texts."""
    return [list(map(text_of, row)) for row in table.rows]


def write_unfinished(runs: Path) -> RunFolder:
    """A run whose engine has just begun: the root waits, nothing else is there."""
    from engine.archive.folder import create_run
    from tests.cli.conftest import CANDIDATE
    from tests.report.made_up import write

    folder = create_run(runs, "begun")
    run = {
        "id": "begun", "profile": "tiny", "status": "running", "created": 1.7e9, "seed": 7, "directive": None,
        "budget": {"candidates": 4}, "spent": {"wall_seconds": 0.0}, "workers": 1, "lag": 4, "protocol": "p",
        "llm": "poise/composer", "sandbox": "full",
    }  # fmt: skip
    root = {**CANDIDATE, "status": "queued", "overall": None, "benchmarks": {}, "seeds": [], "finished": None}
    write(folder, run, [root], [])
    return folder
