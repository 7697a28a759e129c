"""Who looks elsewhere is told what one waits for, once, and nothing of what was the case before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.archive.events import Event
from engine.archive.folder import RunFolder
from poise_tui.alerts import alerts
from poise_tui.app import PoiseApp
from poise_tui.feed import FolderFeed
from poise_tui.store import Store
from poise_tui.terminal import TerminalOptions
from tests.dashboard import recorded
from tests.dashboard.recorded import screen, until

NOW = recorded.START + 60


def told(*more: tuple[str, str | None, dict[str, Any]], now: float = NOW) -> list[tuple[str, str]]:
    """What is told when this happens after the recorded history."""
    store = Store()
    store.fold(recorded.events("running"))
    before = store.snapshot()
    store.fold(Event(kind, node, data, 5000 + i, NOW) for i, (kind, node, data) in enumerate(more))
    return [(alert.title, alert.text) for alert in alerts(before, store.snapshot(), NOW, now)]


def budget(**limits: float) -> tuple[str, None, dict[str, Any]]:
    return "run.updated", None, {"budget": {"candidates": 5, "hours": None, "usd": None, **limits}}


def test_a_new_best_is_told_with_its_gain() -> None:
    figures = {"overall": 81.0, "gain": {"value": 28.5, "low": 20.0, "high": 37.0, "mark": "better"}}
    figures |= {"rungs": [{"rung": 1.0, "updates": 48, "seeds": [0], "overalls": [81.0]}]}
    assert told(("candidate.updated", "c002", figures)) == [
        ("new best", "c002 Clip-GRPO: 81.0, +28.5 over the root: better")
    ]
    assert told(("candidate.updated", "c002", {**figures, "overall": 60.0})) == []


def test_failures_are_told_with_their_cause_and_once() -> None:
    failed = ("candidate.status", "c002", {"status": "failed", "cause": "diverged"})
    assert told(failed, failed) == [("failed", "c002 Clip-GRPO: diverged")]
    assert told(("candidate.updated", "c003", {"pinned": True})) == [], "it had failed before"


def test_a_budget_is_told_when_it_runs_out() -> None:
    spent = {"wall_seconds": 0.0, "gpu_seconds": 0.0, "llm_usd": 4.1}
    assert told(budget(usd=5.0), ("run.updated", None, {"spent": spent})) == [("budget", "80% of 5 usd used")]
    spent["llm_usd"] = 5.0
    assert told(budget(usd=5.0), ("run.updated", None, {"spent": spent})) == [("budget", "100% of 5 usd used")]
    assert told(budget(hours=1.0), now=NOW + 2900) == [("budget", "80% of 1 hours used")]
    assert told(budget(hours=1.0), now=NOW + 100) == []


async def test_history_rings_no_bell_and_what_happens_now_does(tmp_path: Path) -> None:
    folder: RunFolder = recorded.write(tmp_path, status="running")
    written: list[str] = []
    app = PoiseApp(folder=folder, terminal=TerminalOptions(bell=True, notices=True), clock=lambda: NOW)
    app.bell = lambda: written.append("bell")  # type: ignore[method-assign]
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: "c004" in screen(app) and app._told is not None, "the run")
        assert app._driver is not None
        app._driver.write = written.append  # type: ignore[method-assign]
        await until(pilot, lambda: app._told is not None and app._told[0].run is not None, "all of it")
        assert not written
        event = Event("candidate.status", "c002", {"status": "failed", "cause": "x\x1b]9;forged\x07 y"}, 5000, NOW)
        with folder.events.open("ab") as file:
            file.write(event.line())
        await until(pilot, lambda: bool(written), "the bell")
        assert written == ["bell", "\x1b]9;POISE failed: c002 Clip-GRPO: x y\x07"]
        await until(pilot, lambda: "c002 Clip-GRPO: x y" in screen(app), "the notice on screen")
    assert FolderFeed(folder).poll().run is not None
