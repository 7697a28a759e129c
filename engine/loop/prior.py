"""A run that starts from the archive of an earlier one: its candidates are there from the beginning, as prior evidence.

They stand in the tree as what a user injected does (u001, ...), settled, without trainings of their own here: what
their own run measured is read as the gain over that run's root, on top of this run's root, since the two runs have
other seeds and other problems. Only runs of the same protocol, rungs and root can be read like that. The seed must be
another one, so that a confirmation here is on problems and seeds that neither search nor confirmation there has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.archive.files import read_limited, write_atomic
from engine.archive.folder import RunFolder
from engine.archive.formats import complete
from engine.archive.store import Document, read_archive
from engine.errors import Exit, PoiseError
from engine.loop.book import Book, injected_id, is_control, is_injected, root_id
from engine.loop.figures import means
from engine.loop.rungs import ladder

TAKEN = ("scored", "stopped", "failed", "infeasible", "duplicate")
"""Statuses of what is taken over: what has settled, and was not pruned by its user."""
MOST_BYTES = 4 << 20


@dataclass(frozen=True)
class Earlier:
    """An earlier run, read.

    Attributes:
        root: its root's mean results, one a rung.
        used: seeds whose problems it, or a run it began from, has seen.
    """

    folder: RunFolder
    run: Document
    candidates: tuple[Document, ...]
    root: tuple[Document, ...]
    used: frozenset[int]


def read_earlier(folder: RunFolder, config: Mapping[str, Any]) -> Earlier:
    """Read an earlier run, of whatever format.

    Args:
        folder: of the run.
        config: its run.toml.

    Raises:
        PoiseError: it has no readable archive.
    """
    archive = read_archive(folder.archive)
    run, candidates, trials = archive.run(), archive.candidates(), archive.trials()
    complete(run, candidates, trials, config["profile"]["train"]["updates"])
    root = means(t for t in trials if t["candidate"] == root_id() and t["purpose"] in ("search", "baseline"))
    taken = [c for c in candidates if c["parent"] is not None and c["status"] in TAKEN and not is_control(c["id"])]
    used = {int(run["seed"]), *(int(c["prior"]["seed"]) for c in taken if c.get("prior"))}
    return Earlier(folder, run, tuple(taken), tuple(root), frozenset(used))


def check_earlier(
    earlier: Earlier,
    old: Mapping[str, Any],
    profile: Mapping[str, Any],
    protocol: str,
    root: Sequence[Mapping[str, Any]],
    seed: int | None,
) -> int:
    """The seed of a run that starts from an earlier one.

    Args:
        old: the earlier run's profile, resolved.
        profile: of the new run, resolved.
        protocol: of the new run.
        root: mechanisms of the new run's root.
        seed: that the user wants; None: the next one that was not used.

    Raises:
        PoiseError: refused (4), its scores mean something else: another protocol, other rungs or another root; or the
            seed was used there; or there is nothing to start from.
    """
    name = earlier.run["id"]
    if earlier.run.get("protocol") != protocol:
        raise PoiseError(
            f"--from {name}: its scores are of protocol {earlier.run.get('protocol')}, this run's of {protocol}: "
            "give the same --profile, on the same versions and device",
            Exit.REFUSED,
        )
    if _rungs(old) != _rungs(profile):
        raise PoiseError(f"--from {name}: it has other rungs: give the profile that it had", Exit.REFUSED)
    own = _root_of(earlier)
    if list(own["proposal"]["mechanisms"]) != list(root):
        file = earlier.folder.candidate(root_id()).algorithm
        raise PoiseError(f"--from {name}: its root is {own['name']}: give --root {file}", Exit.REFUSED)
    if not earlier.candidates or not earlier.root:
        raise PoiseError(f"--from {name}: it has no candidate with a result, or no score of its root", Exit.REFUSED)
    if seed in earlier.used:
        raise PoiseError(
            f"--from {name}: seed {seed} was used there, so that a confirmation would meet problems that were seen: "
            f"give another --seed, such as {max(earlier.used) + 1}",
            Exit.REFUSED,
        )
    return max(earlier.used) + 1 if seed is None else seed


def take_over(book: Book, folder: RunFolder, earlier: Earlier) -> None:
    """Record the candidates of an earlier run, in order, with their files. Once more, after a crash, adds the rest.

    Args:
        book: of the new run; its root is there.
        folder: of the new run.
    """
    ids = {root_id(): root_id()}
    for number, old in enumerate(earlier.candidates, 1):
        node = ids[old["id"]] = injected_id(number)
        if node in book.candidates:
            continue
        _copy(earlier.folder.candidate(old["id"]).path, folder.candidate(node).path)
        parent = ids.get(old["parent"], root_id())
        book.create_candidate(_document(old, node, parent, book.candidates[parent]["depth"] + 1, earlier))
    count = len(earlier.candidates)
    book.set_run(prior={"run": earlier.run["id"], "seed": earlier.run["seed"], "candidates": count})
    book.log(f"starts from run {earlier.run['id']}: {count} candidates of it are evidence")


def on_this_root(document: Document, root: Mapping[float, Mapping[str, Any]]) -> list[Document]:
    """What an earlier run measured of a candidate, as results here: its gain over that run's root on top of this one's.

    Args:
        document: of a candidate that was taken over.
        root: this run's root's mean results by rung; rungs that are not there yet say nothing.
    """
    before = {r["rung"]: r for r in document["prior"]["root"]}
    found = []
    for result in (document["result"] or {"rungs": ()})["rungs"]:
        here, there = root.get(result["rung"]), before.get(result["rung"])
        if here is None or there is None:
            continue
        benchmarks = {}
        for task, b in result["benchmarks"].items():
            if task in here["benchmarks"] and task in there["benchmarks"]:
                shift = here["benchmarks"][task]["value"] - there["benchmarks"][task]["value"]
                moved = {"value": _within(b["value"] + shift), "ci": [_within(edge + shift) for edge in b["ci"]]}
                benchmarks[task] = {**b, **moved}
        overall = _within(result["overall"] + here["overall"] - there["overall"])
        found.append({"rung": result["rung"], "overall": overall, "benchmarks": benchmarks})
    return found


def priors(candidates: Mapping[str, Document]) -> list[str]:
    """The ids of those that were taken over."""
    return [node for node, c in candidates.items() if is_injected(node) and c.get("prior")]


def _document(old: Document, node: str, parent: str, depth: int, earlier: Earlier) -> Document:
    mine = {"run": earlier.run["id"], "seed": earlier.run["seed"], "id": old["id"], "root": list(earlier.root)}
    nothing = {key: type(value)() for key, value in old["cost"].items()}
    return {
        **old,
        "id": node,
        "parent": parent,
        "depth": depth,
        "prior": old.get("prior") or mine,
        "cost": nothing,
        "provenance": {**old["provenance"], "proposer": f"run {earlier.run['id']}"},
        "reflection": old["reflection"],
        # What was decided, promoted, pinned or confirmed there was so there.
        "decision": None,
        "promotions": [],
        "confirmed": None,
        "pinned": False,
        "ideas": [],
    }


def _copy(old: Path, new: Path) -> None:
    new.mkdir(parents=True, exist_ok=True)
    for name in ("algorithm.py", "proposal.json", "verification.json", "reflection.md"):
        with suppress(OSError):  # one that failed early has no verification
            write_atomic(new / name, read_limited(old / name, MOST_BYTES))


def _rungs(profile: Mapping[str, Any]) -> list[tuple[float, int, dict[str, Any]]]:
    return [(rung.fraction, rung.updates, dict(rung.score)) for rung in ladder(profile)]


def _root_of(earlier: Earlier) -> Document:
    return read_archive(earlier.folder.archive).candidate(root_id())


def _within(score: float) -> float:
    return min(max(float(score), 0.0), 100.0)
