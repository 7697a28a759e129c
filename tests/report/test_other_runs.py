"""A report can be had of any run: one that has just begun, one that is older than rungs, one that lost files."""

import json
from pathlib import Path

import pytest

from engine.archive.folder import RunFolder
from engine.errors import PoiseError
from engine.report.html import to_html
from engine.report.markdown import to_markdown
from engine.report.story import read_story
from engine.report.write import make_report, write_report
from tests.cli.conftest import write_run
from tests.report.conftest import said, section, write_unfinished
from tests.report.made_up import make_run


def test_a_run_that_has_just_begun_has_a_report_that_says_what_is_not_there_yet(tmp_path: Path) -> None:
    report = make_report(read_story(write_unfinished(tmp_path)))
    assert "Nothing is confirmed" in str(report.answer[0])
    assert said(section(report, "leaderboard")) == "No candidate has a score yet."
    assert "No candidate has a score of a whole training yet." in said(section(report, "frontier"))
    assert len(report.sections) == 13
    assert to_html(report).endswith("</html>\n")


def test_of_an_older_run_it_says_that_there_are_no_intervals(tmp_path: Path) -> None:
    report = make_report(read_story(RunFolder(write_run(tmp_path, "old"))))
    assert "older than gains with intervals" in said(section(report, "leaderboard"))
    assert "Better (c001)" in str(report.answer)
    assert "poise confirm" not in to_markdown(report), "which older runs do not know"


def test_a_run_without_curves_knowledge_settings_or_algorithm_still_has_a_report(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    folder.config.unlink()
    folder.knowledge.unlink()
    for path in [*folder.path.glob("trials/*/metrics.jsonl"), *folder.path.glob("candidates/*/algorithm.py")]:
        path.unlink()
    report = make_report(read_story(folder))
    assert "No curves are left" in said(section(report, "dynamics"))
    assert "no knowledge page yet" in said(section(report, "knowledge"))
    assert "algorithm.py cannot be read" in said(section(report, "winner"))
    assert "run.toml cannot be read" in said(section(report, "run"))


def test_curves_that_a_candidate_made_up_draw_nothing(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    evil = [
        {"step": 1, "reward": 1e308, "kl": 1e-320},
        {"step": 4, "length": -9e8},
        {"step": 2, "reward": "<script>"},
        {"step": 10**30},
        {"step": -1},
    ]
    for path in folder.path.glob("trials/*/metrics.jsonl"):
        path.write_text("\n".join(map(json.dumps, evil)) + '\n{"step": 3, "reward": NaN}\nno json\n')
    html, _ = write_report(folder)
    assert "<script>alert" not in html.read_text()


def test_a_folder_without_an_archive_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PoiseError):
        write_report(RunFolder(tmp_path / "empty"))
