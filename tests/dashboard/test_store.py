"""Folding events: the same history gives the same picture, however it arrives."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.archive.events import Event
from poise_tui.snapshot import Snapshot
from poise_tui.store import Store
from tests.dashboard import recorded

EVENTS = recorded.events()


def fold(parts: list[list[Event]]) -> Snapshot:
    store = Store()
    for part in parts:
        store.fold(part)
        store.snapshot()
    return store.snapshot()


@settings(max_examples=60, deadline=None)
@given(cuts=st.sets(st.integers(0, len(EVENTS))))
def test_any_split_into_polls_gives_the_same_picture(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(EVENTS)]
    parts = [EVENTS[a:b] for a, b in pairwise(edges)]
    assert fold(parts) == fold([EVENTS])


def test_the_picture_is_what_the_events_say() -> None:
    s = fold([EVENTS])
    assert [b.id for b in s.tree] == ["c000", "c001", "c002", "c004", "c003", "c005"]
    assert s.best is not None and s.best.id == "c001" and s.best.gain is not None and s.best.gain.value == 26.5
    assert s.candidates["c003"].cause == "diverged: loss is nan at update 3"
    assert s.run is not None and s.run.status == "finished" and s.run.total == 5
    trial = s.candidates["c002"].running_trial
    assert trial is not None and trial.step == 12 and list(trial.curve.steps()) == list(range(1, 13))
    assert s.descendants("c001") == ("c002", "c004")


def test_steps_a_resumed_training_repeats_are_shown_once() -> None:
    repeated = [e for e in EVENTS if e.kind == "trial.metrics" and e.node == "c002"]
    s = fold([EVENTS, repeated])
    assert list(s.candidates["c002"].trials[0].curve.steps()) == list(range(1, 13))


def test_an_unchanged_poll_gives_the_same_snapshot_again() -> None:
    store = Store()
    store.fold(EVENTS)
    first = store.snapshot()
    store.fold([])
    assert store.snapshot() is first


def test_a_snapshot_never_changes_afterwards() -> None:
    store = Store()
    half = len(EVENTS) // 2
    store.fold(EVENTS[:half])
    early = store.snapshot()
    counts = {c.id: [t.curve.count for t in c.trials] for c in early.candidates.values()}
    store.fold(EVENTS[half:])
    store.snapshot()
    assert {c.id: [t.curve.count for t in c.trials] for c in early.candidates.values()} == counts


def test_events_of_the_wrong_shape_are_counted_and_change_nothing() -> None:
    broken = [
        Event("trial.metrics", "c002", {"trial": "nobody", "points": []}, 900, 1.0),
        Event("candidate.status", "c999", {"status": "scored"}, 901, 1.0),
        Event("trial.created", None, {"id": 3}, 902, 1.0),
        Event("run.created", None, {}, 903, 1.0),
    ]
    s = fold([EVENTS, broken])
    assert s.dropped == 4
    assert s.candidates == fold([EVENTS]).candidates


def test_a_lineage_deeper_than_pythons_stack_is_a_tree() -> None:
    chain = [
        Event(
            "candidate.created",
            f"c{i:03d}",
            recorded.candidate(f"c{i:03d}", "X", f"c{i - 1:03d}" if i else None, "queued"),
        )
        for i in range(3000)
    ]
    assert len(fold([chain]).tree) == 3000


def test_text_of_candidates_cannot_steer_the_terminal() -> None:
    name = fold([EVENTS]).candidates["c003"].name
    assert "\x1b" not in name and "\u202e" not in name
