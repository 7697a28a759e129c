"""Headless progress: a line for what matters, in order, to the end of the run."""

import os
import signal
from pathlib import Path

import pytest

from engine.archive.events import Event
from engine.archive.folder import RunFolder
from engine.archive.store import Archive
from engine.errors import Exit, PoiseError
from engine.process.lock import RunLock
from poise_tui.commands.headless import Signals, follow
from poise_tui.commands.progress import Progress
from tests.cli.conftest import CANDIDATE, write_run


def said(*events: Event) -> list[str]:
    progress = Progress()
    return [line for event in events for line in progress.lines(event)]


def test_a_training_gets_a_line_at_each_quarter_and_no_more() -> None:
    created = Event("trial.created", "c001", {"id": "c001-search-0", "steps": 80}, time=100.0)
    points = [
        Event("trial.metrics", "c001", {"trial": "c001-search-0", "points": [{"step": n, "reward": n / 80}]},
              time=100.0 + n)
        for n in range(1, 81)
    ]  # fmt: skip
    assert said(created, *points) == [
        "  0:20  c001-search-0 update 20/80, reward 0.250",
        "  0:40  c001-search-0 update 40/80, reward 0.500",
        "  1:00  c001-search-0 update 60/80, reward 0.750",
        "  1:20  c001-search-0 update 80/80, reward 1.000",
    ]


def test_metrics_without_a_reward_or_of_an_unknown_trial_break_nothing() -> None:
    created = Event("trial.created", "c001", {"id": "c001-search-0", "steps": 4})
    nothing = Event("trial.metrics", "c001", {"trial": "c001-search-0", "points": []})
    null = Event("trial.metrics", "c001", {"trial": "c001-search-0", "points": [{"step": 1, "reward": None}]})
    stranger = Event("trial.metrics", "c009", {"trial": "b", "points": [{"step": 1}]})
    assert said(created, nothing, null, stranger) == ["  0:00  c001-search-0 update 1/4"]


def test_trainings_at_rungs_are_told_once_and_further_seeds_not_at_all() -> None:
    status = [Event("candidate.status", "c001", {"status": s, "cause": None}) for s in ("training", "scoring") * 3]
    seed = Event("trial.created", "c001", {"id": "c001-search-1", "steps": 4})
    metrics = Event("trial.metrics", "c001", {"trial": "c001-search-1", "points": [{"step": 4, "reward": 1.0}]})
    assert [line[8:] for line in said(*status, seed, metrics)] == ["c001 training"]


def test_a_score_is_told_with_what_it_says_over_the_root() -> None:
    gain = {"value": 9.0, "low": 5.0, "high": 13.0, "mark": "better"}
    lines = said(
        Event("candidate.updated", "c001", {"overall": 61.0, "gain": gain}),
        Event("candidate.status", "c001", {"status": "scored", "cause": None}),
    )
    assert [line[8:] for line in lines] == ["c001 scored 61.0 (+9.0 ±4.0 over the root: better)"]


def test_a_candidate_is_followed_from_its_proposal_to_its_score_or_cause() -> None:
    proposal = {"hypothesis": "less\nnoise\x1b[2J", "mechanisms": []}
    document = {**CANDIDATE, "id": "c001", "name": "Calm", "parent": "c000", "proposal": proposal}
    lines = said(
        Event("candidate.created", "c001", document),
        Event("candidate.status", "c001", {"status": "training", "cause": None}),
        Event("candidate.updated", "c001", {"overall": 41.23}),
        Event("candidate.status", "c001", {"status": "scored", "cause": None}),
        Event("candidate.status", "c001", {"status": "failed", "cause": "diverged: loss is nan"}),
    )
    assert [line[8:] for line in lines] == [
        "c001 Calm, from c000: less noise",
        "c001 Calm training",
        "c001 Calm scored 41.2",
        "c001 Calm failed: diverged: loss is nan",
    ]


def test_the_trainings_of_the_baseline_show_the_noise() -> None:
    update = {"trial": "c000-baseline-1", "status": "scored", "overall": 30.06}
    own = {"trial": "c001-search-0", "status": "scored", "overall": 40.0}
    lines = said(Event("trial.updated", "c000", update), Event("trial.updated", "c001", own))
    assert [line[8:] for line in lines] == ["c000-baseline-1 scored 30.1"], "a search trial is its candidate's score"


def test_a_candidate_that_stops_at_a_rung_says_where_and_why_once() -> None:
    why = "32.3 at 12 of 48 updates is rank 3 of 6; a chance of 20 % to end in the top quarter"
    lines = said(
        Event("candidate.status", "c001", {"status": "queued", "cause": "has its score after 12 of 48 updates"}),
        Event("candidate.status", "c001", {"status": "stopped", "cause": f"stopped: {why}"}),
    )
    assert [line[8:] for line in lines] == [f"c001 stopped: {why}"]


def test_a_gain_at_a_rung_is_not_told_of_the_whole_training() -> None:
    gain = {"value": 9.0, "low": 5.0, "high": 13.0, "mark": "better"}
    lines = said(
        Event("candidate.updated", "c001", {"overall": 34.0, "gain": gain}),
        Event("candidate.updated", "c001", {"overall": 61.0, "gain": None}),
        Event("candidate.status", "c001", {"status": "scored", "cause": None}),
    )
    assert [line[8:] for line in lines] == ["c001 scored 61.0"]


def test_it_says_how_many_of_the_roots_seeds_are_there() -> None:
    root = Event("candidate.created", "c000", {**CANDIDATE, "parent": None})
    ids = [("c000-search-0", "search"), ("c000-baseline-1", "baseline"), ("c000-baseline-2", "baseline")]
    made = [Event("trial.created", "c000", {"id": id, "steps": 48, "purpose": purpose}) for id, purpose in ids]
    ended = [Event("trial.updated", "c000", {"trial": id, "status": "scored", "overall": 50.0}) for id, _ in ids[:2]]
    assert [line[8:] for line in said(root, *made, *ended)] == [
        "c000-search-0 scored 50.0: root 1/3 seeds",
        "c000-baseline-1 scored 50.0: root 2/3 seeds",
    ]


def test_it_says_how_far_a_study_is() -> None:
    study = {"id": "confirm-1", "arms": [{}, {}, {}, {}], "seeds": 10, "looks": [5, 7, 10], "look": 1}
    trial = {"id": "c004-confirm-101", "steps": 48, "purpose": "confirm", "study": "confirm-1"}
    lines = said(
        Event("run.updated", None, {"studies": [study]}),
        Event("trial.created", "c004", trial),
        Event("trial.updated", "c004", {"trial": trial["id"], "status": "scored", "overall": 47.0}),
    )
    assert [line[8:] for line in lines] == ["c004-confirm-101 scored 47.0: confirm-1, look 2 of 3, 1/40 trainings"]


def test_lines_of_the_log_are_shown_with_their_level() -> None:
    levels = [Event("log", None, {"level": level, "message": "m"}) for level in ("info", "warning", "error")]
    assert [line[8:] for line in said(*levels)] == ["m", "warning: m", "error: m"]


def test_following_an_ended_run_prints_it_and_returns(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder(write_run(runs, "mine"))
    archive = Archive.open(folder.archive)
    archive.append_events([Event("run.status", None, {"status": "finished", "reason": "2 candidates done"})])
    archive.close()
    assert follow(folder, Signals()) == Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("profile tiny, seed 1, 2 candidates, 2 workers, proposals by poise/composer")
    assert lines[-1].endswith("run finished: 2 candidates done")


def test_an_engine_that_died_is_said_with_what_to_do(runs: Path) -> None:
    folder = RunFolder(write_run(runs, "mine", status="running"))
    with pytest.raises(PoiseError, match=r"the engine of mine died .*`poise resume mine` takes it up") as caught:
        follow(folder, Signals())
    assert caught.value.code == Exit.ERROR


def test_a_second_signal_leaves_the_engine_running_and_says_so(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder(write_run(runs, "mine", status="running"))
    lock = RunLock.acquire(folder.lock, socket="/nowhere")  # this process stands for an engine that hangs
    signals = Signals()
    with signals.watching():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert follow(folder, signals) == Exit.ERROR
    lock.release()
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "mine goes on without us: `poise status mine` tells how far it is"
