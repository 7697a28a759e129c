"""What the run cost in seconds of training and scoring, and what training everything wholly would have cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from engine.archive.store import Document
from engine.report.blocks import Block, Cell, Table, Text
from engine.report.frontier import busy
from engine.report.story import DISCOVERY, WHOLE, Story
from engine.report.words import percent, plural, seconds


@dataclass(frozen=True)
class Cost:
    """Seconds of one run.

    Attributes:
        search, root, control: of their trainings with scoring, start-up and all.
        confirm, ablate: of the studies, counted apart.
        full: what as many candidates would take, each trained wholly once and no root; None while
            no whole training has ended.
        candidates: that were trained at all.
    """

    search: float
    root: float
    control: float
    confirm: float
    ablate: float
    full: float | None
    candidates: int

    @property
    def discovery(self) -> float:
        """All but the studies."""
        return self.search + self.root + self.control


def cost_of(story: Story) -> Cost:
    """Count a run's trainings."""
    by: dict[str, float] = defaultdict(float)
    root = story.root["id"] if story.root else None
    for trial in story.trials:
        own = trial["candidate"] == root and trial["purpose"] in DISCOVERY
        by["root" if own else trial["purpose"]] += 0.0 if trial.get("cached") else busy(trial)
    # Those made in one go, where there are any: the others have been started and scored at every rung besides.
    one_go = [busy(t) for t in story.trials if t["purpose"] in ("confirm", "ablate") and is_whole(t) and busy(t)]
    whole = one_go or [
        busy(t) for t in story.trials if t["purpose"] in DISCOVERY and is_whole(t) and not t.get("cached") and busy(t)
    ]
    trained = {t["candidate"] for t in story.trials if t["purpose"] in DISCOVERY} - {root}
    full = median(whole) * len(trained) if whole else None
    return Cost(by["search"], by["root"], by["control"], by["confirm"], by["ablate"], full, len(trained))


def is_whole(trial: Document) -> bool:
    """Whether a training was scored at its end."""
    return bool(trial.get("overall") is not None and trial.get("rung", WHOLE) == WHOLE)


def costs(story: Story) -> list[Block]:
    """The section's blocks."""
    cost, spent = cost_of(story), story.run.get("spent") or {}
    rows: list[list[Cell | str]] = [
        ["search", *_sums(t for t in story.trials if t["purpose"] == "search" and not _is_root(story, t))],
        ["the root's seeds", *_sums(t for t in story.trials if _is_root(story, t) and t["purpose"] in DISCOVERY)],
        ["control arm", *_sums(t for t in story.trials if t["purpose"] == "control")],
        ["confirmation", *_sums(t for t in story.trials if t["purpose"] == "confirm")],
        ["attribution", *_sums(t for t in story.trials if t["purpose"] == "ablate")],
    ]
    blocks: list[Block] = [
        Table(["what for", "trainings", "training", "scoring", "together"], "lrrrr", [r for r in rows if r[1] != "0"])
    ]
    cached = sum(bool(t.get("cached")) for t in story.trials)
    if cached:
        blocks.append(
            Text(
                f"{plural(cached, 'training')} of the root came from an earlier run of the same protocol and cost "
                "nothing."
            )
        )
    if cost.full:
        blocks.append(
            Text(
                f"Training each of the {plural(cost.candidates, 'candidate')} wholly once, at the median of a whole "
                f"training here, would have taken about {seconds(cost.full)}. Rungs, further seeds, the control arm, "
                f"the root's seeds and all scoring took {seconds(cost.discovery)}: "
                f"{percent(cost.discovery, cost.full)} of it. Confirmation and attribution come on top: "
                f"{seconds(cost.confirm + cost.ablate)}."
            )
        )
    by_rung = _by_rung(story)
    if len(by_rung) > 1:
        blocks.append(Table(["training up to", "trainings", "seconds"], "lrr", by_rung))
        blocks.append(Text("A training's seconds are shared among its rungs in proportion to their updates.", "muted"))
    wall, workers = float(spent.get("wall_seconds") or 0.0), plural(story.run.get("workers") or 1, "worker")
    said = f"Wall clock: {seconds(wall)} with {workers}."
    if spent.get("gpu_seconds"):
        said += f" GPU time: {seconds(float(spent['gpu_seconds']))}."
    return [*blocks, Text(f"{said} Language models: ${float(spent.get('llm_usd') or 0.0):.2f}.")]


def _is_root(story: Story, trial: Document) -> bool:
    return story.root is not None and trial["candidate"] == story.root["id"]


def _sums(trials: Iterable[Document]) -> list[str]:
    found = [t for t in trials if not t.get("cached")]
    training = sum(float((t.get("cost") or {}).get("train_seconds") or 0.0) for t in found)
    scoring = sum(float((t.get("cost") or {}).get("score_seconds") or 0.0) for t in found)
    return [str(len(found)), seconds(training), seconds(scoring), seconds(training + scoring)]


def _by_rung(story: Story) -> list[list[Cell | str]]:
    """Seconds of training on the way to each rung, of all that was trained to discover."""
    count: dict[float, int] = defaultdict(int)
    total: dict[float, float] = defaultdict(float)
    for trial in story.trials:
        rungs = trial.get("rungs") or []
        if trial["purpose"] not in DISCOVERY or trial.get("cached") or not rungs or not rungs[-1].get("updates"):
            continue
        each = float(trial["cost"]["train_seconds"] or 0.0) / rungs[-1]["updates"]
        before = 0
        for r in rungs:
            count[r["rung"]] += 1
            total[r["rung"]] += each * (r["updates"] - before)
            before = r["updates"]
    return [[story.at_words(rung), str(count[rung]), f"{total[rung]:.0f}"] for rung in sorted(total)]
