"""`poise report` writes two files and says where; `poise compare` never subtracts what cannot be compared."""

from pathlib import Path

from engine.archive.events import Event
from engine.archive.store import Archive, Change
from tests.cli.conftest import Poise, refusal, write_run
from tests.report.made_up import make_run


def test_report_writes_a_page_and_markdown_into_the_runs_folder_and_says_where(poise: Poise, runs: Path) -> None:
    folder = write_run(runs, "mine")
    done = poise("report", "mine")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [str(folder / "report.html"), str(folder / "report.md")]
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    assert (folder / "report.md").read_text().startswith("# POISE run mine\n")


def test_out_names_both_files(poise: Poise, runs: Path, tmp_path: Path) -> None:
    folder = write_run(runs, "mine")
    assert poise("report", "--out", "there.html").returncode == 0
    assert (tmp_path / "there.html").is_file()
    assert (tmp_path / "there.md").is_file()
    assert not (folder / "report.html").exists()


def test_report_refuses_what_it_cannot_write_or_find_in_one_line(poise: Poise, runs: Path, tmp_path: Path) -> None:
    assert refusal(poise("report"), 3) == f"no run in {runs}: start one with `poise run`"
    write_run(runs, "mine")
    assert refusal(poise("report", "x"), 3) == f"no run 'x' in {runs}: `poise ls` lists them"
    line = refusal(poise("report", "mine", "--out", "page.pdf"), 2)
    assert line == "--out page.pdf: give a name that ends in .html (the Markdown goes beside it)"
    line = refusal(poise("report", "mine", "--out", "nowhere/page.html"), 4)
    assert line == "cannot write nowhere/page.html: No such file or directory"
    (tmp_path / "folder.html").mkdir()
    assert refusal(poise("report", "mine", "--out", "folder.html"), 4).startswith("cannot write folder.html: ")


def test_compare_shows_two_runs_of_one_protocol_with_differences(poise: Poise, runs: Path) -> None:
    make_run(runs, "one")
    make_run(runs, "two", seed=2)
    lines = poise("compare", "one", "two").stdout.splitlines()
    assert lines[0].split() == ["one", "two", "difference"]
    text = "\n".join(lines)
    for words in ("root at the whole training, 48 updates", "root at 12 of 48 updates", "confirmed", "search cost"):
        assert words in text
    (root,) = [line.split() for line in lines if line.startswith("root at the whole")]
    means = [float(root[i - 1]) for i, word in enumerate(root) if word == "±"]
    assert abs(float(root[-1]) - (means[1] - means[0])) < 0.11
    assert max(map(len, lines)) < 160


def test_compare_shows_no_difference_between_protocols(poise: Poise, runs: Path) -> None:
    make_run(runs, "one")
    make_run(runs, "two", seed=2, protocol="ffff")
    lines = poise("compare", "one", "two").stdout.splitlines()
    assert lines[0].split() == ["one", "two"]
    assert lines[-1].startswith("The protocols differ (0123456789abcdef and ffff): the scores are not comparable")
    (root,) = [line for line in lines if line.startswith("root at the whole")]
    assert root.rstrip().endswith("seeds)")


def test_compare_of_an_older_run_and_an_unknown_one(poise: Poise, runs: Path) -> None:
    old = write_run(runs, "old")
    make_run(runs, "new")
    assert "The protocols differ" in poise("compare", "old", "new").stdout
    assert refusal(poise("compare", "old", "x"), 3) == f"no run 'x' in {runs}: `poise ls` lists them"
    assert refusal(poise("compare", "old"), 2).startswith("Missing argument 'RUN'")
    archive = Archive.open(old / "archive.json")
    archive.commit([Change("run", "old", {"protocol": None})], [Event("run.updated", None, {"protocol": None})])
    archive.close()
    assert "The protocols differ (none and none)" in poise("compare", "old", "old").stdout
