"""How long it will yet take: a formula, against the same rules played out step by step."""

from __future__ import annotations

import heapq
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.archive.estimate import cost_to_go, recent_calls
from engine.loop.settled import ready


def played_out(candidates: int, lag: int, workers: int, trial: float, decision: float) -> float:
    """The end of a run that begins with a trained root, decided and trained by the engine's rules."""
    clock, k, deciding = 0.0, 1, False
    settled, queue, busy = {0}, 0, 0
    events: list[tuple[float, int, str]] = []
    while len(settled) <= candidates:
        if not deciding and k <= candidates and ready(k, lag, settled.__contains__):
            heapq.heappush(events, (clock + decision, k, "decided"))
            deciding = True
        while queue and busy < workers:
            queue, busy = queue - 1, busy + 1
            heapq.heappush(events, (clock + trial, len(settled) + busy - 1, "trained"))
        clock, _, what = heapq.heappop(events)
        if what == "decided":
            deciding, k, queue = False, k + 1, queue + 1
        else:  # all take equally long, so they end in the order in which they began
            busy -= 1
            settled.add(len(settled))
    return clock


def run(candidates: int, lag: int = 4, workers: int = 2, **budget: float) -> dict[str, Any]:
    spent = {"wall_seconds": 100.0, "gpu_seconds": 50.0, "llm_usd": 1.0}
    return {"budget": {"candidates": candidates, **budget}, "spent": spent, "workers": workers, "lag": lag}


def candidate(k: int, status: str = "scored", seconds: float = 1.0, usd: float = 0.1) -> dict[str, Any]:
    verified = {"verification": {"seconds": seconds}, "reflection": "r", "cost": {"llm_usd": usd}}
    return {"id": f"c{k:03d}", "parent": "c000" if k else None, "status": status, **verified}


def trial(status: str = "scored", seconds: float = 10.0, gpus: int = 0) -> dict[str, Any]:
    cost = {"train_seconds": seconds - 2, "score_seconds": 2.0, "gpu_seconds": seconds * gpus}
    return {"status": status, "cost": cost}


@given(
    candidates=st.integers(1, 60),
    lag=st.integers(1, 8),
    workers=st.integers(1, 8),
    seconds=st.floats(5, 100),
    decision=st.floats(0.01, 50),
)
def test_the_eta_is_that_of_the_rules_to_within_one_candidate(
    candidates: int, lag: int, workers: int, seconds: float, decision: float
) -> None:
    calls = [{"purpose": "propose", "seed": 1, "seconds": decision, "usd": 0.0}]
    root = [candidate(0) | {"verification": None}]
    found = cost_to_go(run(candidates, lag, workers), root, [trial(seconds=seconds)], calls)
    expected = played_out(candidates, lag, workers, seconds, decision)
    assert found["eta_seconds"] == pytest.approx(expected, abs=seconds + decision + 0.1)
    assert found["ends_by"] == "candidates"


def test_nothing_is_foretold_before_anything_has_ended() -> None:
    found = cost_to_go(run(8), [candidate(0, "training")], [trial("training", 2.0)])
    assert found["eta_seconds"] is None and found["ends_by"] is None
    assert found["to_go"]["candidates"] == 8 and found["to_go"]["trials"] == 9


def test_medians_are_of_this_run_and_one_slow_training_does_not_move_them() -> None:
    done = [trial(seconds=s) for s in (9.0, 10.0, 500.0)] + [trial("failed", 3.0)]
    begun = [candidate(k, seconds=2.0) for k in range(4)]
    calls = [{"purpose": "propose", "seed": 1, "seconds": 4.0}, {"purpose": "repair", "seed": 1, "seconds": 2.0}]
    medians = cost_to_go(run(8), begun, done, [*calls, {"purpose": "reflect", "seed": 1, "seconds": 3.0}])["medians"]
    assert medians == {
        "trial_seconds": 10.0, "decision_seconds": 8.0, "reflection_seconds": 3.0, "candidate_usd": 0.1
    }  # fmt: skip


def test_a_run_that_has_all_its_candidates_only_waits_for_what_still_trains() -> None:
    begun = [candidate(0), candidate(1), candidate(2, "training")]
    found = cost_to_go(run(2, workers=1), begun, [trial(), trial(), trial("training", 2.0)])
    assert found["to_go"]["candidates"] == 0 and found["eta_seconds"] == 5.0
    over = cost_to_go(run(2), [*begun[:2], candidate(2)], [trial()] * 3)
    assert over["eta_seconds"] == 0.0 and over["to_go"]["trials"] == 0


@pytest.mark.parametrize(
    ("budget", "by", "eta"),
    [
        ({"hours": 110 / 3600}, "hours", 10.0),
        ({"gpu_hours": 0.5}, "candidates", None),
        ({"usd": 1.2}, "usd", None),
        ({"gpu_hours": 60 / 3600}, "gpu_hours", None),
        ({"hours": 50 / 3600}, "hours", 0.0),
    ],
)
def test_the_budget_that_is_used_first_ends_the_run(budget: dict[str, float], by: str, eta: float | None) -> None:
    done = [candidate(k, seconds=0.5) for k in range(3)]
    found = cost_to_go(run(12, **budget), done, [trial(gpus=1)] * 3)
    assert found["ends_by"] == by
    assert found["to_go"]["gpu_seconds"] == 100.0 and found["to_go"]["llm_usd"] == 1.0
    assert eta is None or found["eta_seconds"] == eta
    assert found["eta_seconds"] <= found["to_go"]["wall_seconds"]


def test_only_the_last_calls_are_looked_at_however_long_the_file_is(tmp_path: Path) -> None:
    path = tmp_path / "llm.jsonl"
    assert recent_calls(path) == []
    line = {"purpose": "propose", "seconds": 1.5, "usd": 0.0, "messages": "x" * 1000}
    path.write_text("".join(json.dumps({**line, "seed": n}) + "\n" for n in range(50)) + '{"torn')
    assert [c["seed"] for c in recent_calls(path)] == list(range(50))
    assert [c["seed"] for c in recent_calls(path, 5000)] == [46, 47, 48, 49]


def training(of: str, status: str, seconds: float, purpose: str = "search", **more: Any) -> dict[str, Any]:
    return {"candidate": of, "purpose": purpose, **trial(status, seconds), **more}


def test_a_candidate_is_expected_to_take_what_the_settled_ones_took_over_all_their_trainings() -> None:
    begun = [candidate(0), candidate(1, "stopped"), candidate(2), candidate(3, "queued")]
    root = [training("c000", "scored", 100.0, "baseline") for _ in range(3)]
    first = [training("c001", "stopped", 10.0), training("c002", "scored", 90.0), training("c002", "stopped", 20.0)]
    waits = training("c003", "waiting", 35.0)
    found = cost_to_go(run(7, lag=7, workers=1), begun, [*root, *first, waits])
    each = (10 + 110) / 2
    assert found["to_go"]["trials"] == 4 * 1.5 + 1
    assert found["eta_seconds"] == pytest.approx(25 + 3 * each + each + 1.0, abs=1.1)


def test_the_roots_seeds_to_come_and_the_trainings_of_a_study_count_as_whole_ones() -> None:
    begun = [candidate(0), candidate(1, "stopped")]
    done = [training("c000", "scored", 100.0, "baseline"), training("c001", "stopped", 10.0)]
    seeds = [training("c000", "queued", 2.0, "baseline") for _ in range(2)]
    assert cost_to_go(run(1, workers=1), begun, [*done, *seeds])["eta_seconds"] == 200.0
    study = {"id": "confirm-1", "status": "running", "arms": [{}, {}], "seeds": 3}
    made = training("c001", "scored", 100.0, "confirm", study="confirm-1")
    found = cost_to_go({**run(1, workers=1), "studies": [study]}, begun, [*done, made])
    assert found["eta_seconds"] == 500.0 and found["to_go"]["trials"] == 5
    over = cost_to_go({**run(1, workers=1), "studies": [{**study, "status": "done"}]}, begun, [*done, made])
    assert over["eta_seconds"] == 0.0


def test_the_confirmation_that_begins_by_itself_counts_until_it_has_begun() -> None:
    begun, done = [candidate(0), candidate(1)], [training("c001", "scored", 100.0)]
    one = {**run(1, workers=2), "confirm": {"candidates": 3, "seeds": 10}}
    assert cost_to_go(one, begun, done)["eta_seconds"] == 4 * 10 * 100.0 / 2
    assert cost_to_go({**one, "confirmed_after": 1}, begun, done)["eta_seconds"] == 0.0
    assert cost_to_go({**one, "confirm": {"candidates": 0, "seeds": 10}}, begun, done)["eta_seconds"] == 0.0
