"""Looking at runs needs no engine, changes nothing, and never passes a model's control characters on."""

import csv
import io
import json
from pathlib import Path

from tests.cli.conftest import Poise, write_run


def test_ls_shows_each_run_with_its_status_and_best_the_newest_first(poise: Poise, runs: Path) -> None:
    write_run(runs, "older")
    write_run(runs, "newer", status="running")
    lines = poise("ls").stdout.splitlines()
    assert lines[0].split() == ["RUN", "STATUS", "PROFILE", "NODES", "BEST", "CREATED"]
    assert lines[1].split()[:6] == ["newer", "dead", "tiny", "3", "41.2", "Better"], "no engine runs it"
    assert lines[2].split()[:3] == ["older", "finished", "tiny"]


def test_ls_without_runs_says_where_it_looked_and_what_to_do(poise: Poise, runs: Path) -> None:
    done = poise("ls")
    assert done.returncode == 0
    assert done.stdout == f"no runs in {runs}: start one with `poise run`\n"


def test_a_damaged_run_does_not_hide_the_others(poise: Poise, runs: Path) -> None:
    write_run(runs, "good")
    bad = write_run(runs, "bad")
    (bad / "archive.json").write_text("{")
    (bad / "archive.000000.journal").unlink()  # from which the archive would be put together
    assert "bad   unreadable" in poise("ls").stdout
    assert "good  finished" in poise("ls").stdout
    assert poise("status", "bad").returncode == 1


def test_status_tells_budget_counts_and_the_best(poise: Poise, runs: Path) -> None:
    folder = write_run(runs, "mine")
    lines = poise("status", "mine").stdout.splitlines()
    assert lines[0] == "mine: finished"
    assert f"  folder      {folder}" in lines
    assert "  budget      2 candidates" in lines
    assert "  spent       60.00 wall seconds" in lines
    assert "  candidates  1 failed, 2 scored" in lines
    assert "        41.2  c001 Better" in lines
    assert not any("\x1b" in line for line in lines)


def test_status_as_json_is_for_scripts(poise: Poise, runs: Path) -> None:
    write_run(runs, "mine", status="paused")
    status = json.loads(poise("status", "mine", "--json").stdout)
    assert status["run"]["id"] == "mine"
    assert status["run"]["status"] == "dead", "nobody holds its lock"
    assert status["engine"] is None
    assert status["candidates"] == {"scored": 2, "failed": 1}
    best = {"id": "c001", "name": "Better\x1b[31m", "status": "scored", "overall": 41.25}
    assert status["best"][0] == best | {"gain": None, "confirmed": None}
    assert status["trials"] == []


def test_a_run_is_meant_by_its_id_its_folder_or_nothing(poise: Poise, runs: Path, tmp_path: Path) -> None:
    write_run(runs, "first")
    elsewhere = write_run(tmp_path / "elsewhere", "second")
    assert poise("status").stdout.startswith("first: ")
    assert poise("status", "first").stdout.startswith("first: ")
    assert poise("status", elsewhere).stdout.startswith("second: ")
    assert poise("status", "elsewhere/second").stdout.startswith("second: ")
    assert poise("status", "second", "--runs-dir", "elsewhere").stdout.startswith("second: ")


def test_export_is_the_same_run_in_three_formats(poise: Poise, runs: Path) -> None:
    write_run(runs, "mine")
    exported = json.loads(poise("export", "mine", "--format", "json").stdout)
    assert set(exported) == {"run", "baseline", "candidates", "trials"}
    assert [c["id"] for c in exported["candidates"]] == ["c000", "c001", "c002"]
    rows = list(csv.DictReader(io.StringIO(poise("export", "mine", "--format", "csv").stdout)))
    assert [row["id"] for row in rows] == ["c000", "c001", "c002"]
    assert rows[1]["overall"] == "41.25"
    markdown = poise("export", "mine", "--format", "md").stdout
    assert markdown.startswith("# Run mine")
    assert "41.25" in markdown
