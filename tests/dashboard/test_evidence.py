"""What a researcher sees of how good a candidate is known to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.archive.events import Event
from engine.stats.noise import expected_best
from poise_tui.format import ASCII, UNICODE, Glyphs
from poise_tui.snapshot import Snapshot
from poise_tui.store import Store
from poise_tui.widgets.detail_text import idea, scores
from tests.dashboard import recorded
from tests.dashboard.test_screens import PoiseApp, after

WHY = "28.4 at 12 of 48 updates is rank 3 of 3"


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    store = Store()
    store.fold(recorded.events())
    return store.snapshot()


def test_a_node_that_stopped_says_where_and_why(snapshot: Snapshot) -> None:
    text = idea(snapshot.candidates["c005"], snapshot).plain
    assert f"stopped: {WHY}" in text and "after 12 updates: 28.4 (1 seed)" in text
    assert "over the root there: -2.6 (-4.2 to -1.0), worse" in text


def test_a_confirmed_one_says_so_with_its_figures(snapshot: Snapshot) -> None:
    text = idea(snapshot.candidates["c001"], snapshot).plain
    assert "confirmed (confirm-1)" in text and "over 4 seeds of each" in text


def test_scores_at_a_rung_stand_beside_the_roots_at_that_rung(snapshot: Snapshot) -> None:
    text = scores(snapshot.candidates["c005"], snapshot).plain
    row = next(line for line in text.split("\n") if line.startswith("Overall")).split()
    assert row == ["Overall", "28.4", "31.0", "-2.6"]


def test_the_best_is_never_one_that_was_stopped_early(snapshot: Snapshot) -> None:
    assert snapshot.best is snapshot.candidates["c001"]
    assert all(c.fidelity == 1 for c in [snapshot.best])


def test_chance_is_told_for_all_that_were_scored(snapshot: Snapshot) -> None:
    assert snapshot.chance is not None
    assert snapshot.chance == (2, pytest.approx(expected_best(2, 2.4)))


def test_every_training_is_listed_with_what_it_was_for(snapshot: Snapshot) -> None:
    lines = scores(snapshot.candidates["c001"], snapshot).plain.split("\n")
    assert [line.split() for line in lines[lines.index("Trainings") + 1 :]] == [
        ["c001-search-0", "search", "scored", "79.0"]
    ]


def test_the_roots_level_is_of_whole_trainings_only() -> None:
    early = {"rungs": [{"rung": 0.25, "updates": 12, "seeds": [1, 2], "overalls": [30.0, 32.0]}], "overall": 31.0}
    store = Store()
    store.fold([Event("candidate.created", "c000", recorded.candidate("c000", "GRPO", None, "training", **early))])
    found = store.snapshot()
    assert found.level is None and found.chance is None and found.best is None


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_what_an_interval_says_has_a_sign_of_its_own(glyphs: Glyphs) -> None:
    assert len({*glyphs.mark.values(), glyphs.confirmed}) == 4
    assert glyphs is UNICODE or all(sign.isascii() for sign in (*glyphs.mark.values(), glyphs.confirmed, glyphs.half))


async def test_the_tree_and_the_header_say_what_is_known(tmp_path: Path) -> None:
    app = PoiseApp(folder=recorded.write(tmp_path), clock=lambda: recorded.START + 60)
    async with app.run_test(size=(200, 50)) as pilot:
        await after("j", wanted="Gate-GRPO keeps work alive")(pilot)
        lines = [str(app.screen.query_one("#lineage").render_line(y).text) for y in range(6)]  # type: ignore[attr-defined]
        gate = next(line for line in lines if "c001" in line)
        brevity = next(line for line in lines if "c005" in line)
        assert gate.rstrip().endswith(f"79.0 +26.5 ±6.0    {UNICODE.confirmed}")
        assert brevity.rstrip().endswith(f"@12  -2.6 ±1.6    {UNICODE.mark['worse']}") and "28.4" not in brevity
        header = str(app.screen.query_one("#header").render())
        assert (
            "+26.5 ±6.0 vs root (c001)" in header and "1 confirmed" in header and "root 52.5 ±2.4 (3 seeds)" in header
        )
