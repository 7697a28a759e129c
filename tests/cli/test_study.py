"""`poise confirm` and `poise ablate` say what they cost, ask, and refuse what makes no sense; nothing is begun then."""

import io
from pathlib import Path
from typing import Any

import pytest

from engine.archive.events import Event
from engine.archive.store import Archive, Change, read_archive
from tests.cli.conftest import Poise, refusal, write_run

VERIFIED = {"passed": True, "mechanisms": [{"name": "A"}, {"name": "B"}]}
TRIAL = {
    "id": "c001-search-0", "candidate": "c001", "purpose": "search", "seed": 1, "off": [], "rung": 1.0,
    "split": "development", "overall": 41.25, "benchmarks": {}, "protocol": "p", "status": "scored",
    "cost": {"train_seconds": 50.0, "score_seconds": 10.0, "gpu_seconds": 0.0},
}  # fmt: skip


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(runs: Path) -> Path:
    """A run that has ended, with a verified candidate of two mechanisms whose training took a minute."""
    folder = write_run(runs, "r")
    change(folder, "candidates", "c001", {"verification": VERIFIED})
    change(folder, "trials", TRIAL["id"], TRIAL)
    return folder


def change(folder: Path, table: Any, key: Any, fields: dict[str, Any]) -> None:
    archive = Archive.open(folder / "archive.json")
    archive.commit([Change(table, key, fields)], [Event("log", None, {"level": "info", "message": ""})])
    archive.close()


def test_confirm_says_what_it_takes_and_shares_in_the_error_before_it_asks(poise: Poise, run: Path) -> None:
    line = refusal(poise("confirm", "r", "c001"), 4)
    assert line == (
        "c001 Better: up to 20 trainings (2 arms of 10 seeds, judged after 5, 7 and 10), up to 10:00 with 2 at a "
        "time, alpha 0.025: give --yes, since there is nobody to ask"
    )


def test_ablate_says_how_many_trainings_and_how_long_before_it_asks(poise: Poise, run: Path) -> None:
    line = refusal(poise("ablate", "r", "c001"), 4)
    assert line.startswith("c001 Better: 16 trainings (4 arms of 4 seeds), about 8:00 with 2 at a time, 2 mechanisms")


@pytest.mark.parametrize("command", ["confirm", "ablate"])
def test_whoever_says_no_has_begun_nothing(
    poise: Poise, run: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    done = poise(command, "r", "c001", "--seeds", "2")
    assert done.returncode == 0 and done.stdout.endswith("nothing was begun\n")
    assert "studies" not in read_archive(run / "archive.json").run()


def test_error_that_earlier_confirmations_took_is_gone(poise: Poise, run: Path) -> None:
    earlier = {"id": "confirm-1", "kind": "confirm", "nodes": ["c002"], "status": "done", "alpha": {"c002": 0.04}}
    change(run, "run", "r", {"studies": [earlier]})
    assert "alpha 0.005:" in refusal(poise("confirm", "r", "c001"), 4)


def test_a_run_from_before_there_were_rungs_can_be_asked_too(poise: Poise, run: Path) -> None:
    (run / "run.toml").write_text("[profile.confirm]\nseeds = 3\nlooks = []\nalpha = 0.1\n")
    assert "(2 arms of 3 seeds), about 3:00 with 2 at a time, alpha 0.05:" in refusal(poise("confirm", "r", "c001"), 4)


@pytest.mark.parametrize("command", ["confirm", "ablate"])
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["r", "c000"], 4, "c000 is the root: it is what candidates are compared with"),
        (["r", "c002"], 4, "c002 is failed and has not passed verification"),
        (["r", "c009"], 3, "no candidate 'c009' in r"),
        (["r", "c001", "--seeds", "1"], 2, "Invalid value for '--seeds': 1 is not in the range 2<=x<=50"),
        (["r", "c001", "--seeds", "51"], 2, "Invalid value for '--seeds': 51 is not in the range 2<=x<=50"),
        (["other", "c001"], 3, "no run 'other' in "),
        ([], 2, "Missing argument '[RUN] NODE'"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_its_code(
    poise: Poise, run: Path, command: str, arguments: list[str], code: int, says: str
) -> None:
    assert refusal(poise(command, *arguments, "--yes"), code).startswith(says)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"status": "pruned"}, "c001 is pruned: `poise restore` takes that back"),
        ({"overall": None, "status": "failed"}, "c001 is failed and was never scored"),
        ({"verification": {"passed": True, "mechanisms": []}}, "c001 has no mechanism that could be switched off"),
    ],
)
def test_a_candidate_that_cannot_be_trained_again_is_refused(
    poise: Poise, run: Path, fields: dict[str, Any], says: str
) -> None:
    change(run, "candidates", "c001", fields)
    assert refusal(poise("ablate", "r", "c001", "--yes"), 4) == says
