"""What a study will train, before anything is: its arms, seeds, looks and share of the error; and what it refuses.

Plain functions over documents, so that a client can tell the cost before it asks an engine. A study is a document of
the run, see docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from engine.errors import Exit, PoiseError
from engine.stats.attribution import MOST_FOR_SHAPLEY, subsets_for
from engine.stats.ledger import FAMILY, allot

Document = dict[str, Any]

ROOT = "c000"
KINDS = ("confirm", "ablate")
FEWEST_SEEDS, MOST_SEEDS = 2, 50
"""Fresh trainings of each arm."""
ABLATE_SEEDS = 4
CONFIRM = {"candidates": 0, "seeds": 10, "looks": [5, 7], "alpha": FAMILY}
"""Of a run whose profile is from before there were studies; nothing begins by itself there."""


def find(candidates: Mapping[str, Document], node: str, run: str) -> Document:
    """A candidate by its id or its unique name.

    Raises:
        PoiseError: there is none, or the name is not unique (3).
    """
    if node in candidates:
        return candidates[node]
    named = [c for c in candidates.values() if c["name"] == node]
    if len(named) == 1:
        return named[0]
    if named:
        ids = ", ".join(c["id"] for c in named)
        raise PoiseError(f"{node!r} is the name of several candidates: use one of {ids}", Exit.NOT_FOUND)
    raise PoiseError(f"no candidate {node!r} in {run}", Exit.NOT_FOUND)


def confirm_plan(
    run: Document, profile: Mapping[str, Any], nodes: Sequence[Document], seeds: int | None, *, automatic: bool = False
) -> Document:
    """A confirmation of these candidates together: each and the root, over seeds that nobody has seen.

    Args:
        run: its document; earlier studies have used up some of the error.
        profile: resolved.
        seeds: of each arm; None: as the profile says.

    Returns:
        fields of the study: "kind", "nodes", "arms" (the first is the root), "seeds", "looks", "alpha".

    Raises:
        PoiseError: refused (4), a candidate that cannot be confirmed.
    """
    for candidate in nodes:
        _refuse(candidate)
    table = profile.get("confirm", CONFIRM)
    wanted = seeds or int(table["seeds"])
    family = float(table["alpha"])
    # The ledger's amounts are for a family of 5 %; a profile may want another.
    taken = [alpha * FAMILY / family for study in studies_of(run) for alpha in study["alpha"].values()]
    alpha = allot(taken, len(nodes), automatic=automatic) * family / FAMILY
    ids = [candidate["id"] for candidate in nodes]
    return {
        "kind": "confirm",
        "nodes": ids,
        "arms": [{"candidate": node, "off": []} for node in (ROOT, *ids)],
        "seeds": wanted,
        "looks": [*(look for look in table["looks"] if look < wanted), wanted],
        "alpha": dict.fromkeys(ids, alpha),
    }


def ablate_plan(root: Document, candidate: Document, seeds: int | None) -> Document:
    """Trainings of a candidate with mechanisms switched off, down to none: what its attribution is made of.

    Returns:
        fields of the study, as `confirm_plan`; the first arm is without any mechanism: the root, unless the run began
        from an algorithm that has some.

    Raises:
        PoiseError: refused (4): it cannot be trained again, or has no mechanism.
    """
    _refuse(candidate)
    names = mechanisms(candidate)
    if not names:
        raise PoiseError(f"{candidate['id']} has no mechanism that could be switched off", Exit.REFUSED)
    wanted = seeds or ABLATE_SEEDS
    _, *subsets = subsets_for(names, shapley=len(names) <= MOST_FOR_SHAPLEY)
    bare = {"candidate": candidate["id"], "off": names} if mechanisms(root) else {"candidate": ROOT, "off": []}
    arms = [{"candidate": candidate["id"], "off": [name for name in names if name not in on]} for on in subsets]
    return {
        "kind": "ablate",
        "nodes": [candidate["id"]],
        "arms": [bare, *arms],
        "seeds": wanted,
        "looks": [wanted],
        "alpha": {},
    }


def mechanisms(candidate: Document) -> list[str]:
    """The names that a candidate's file gives its mechanisms."""
    return [mechanism["name"] for mechanism in (candidate["verification"] or {}).get("mechanisms", ())]


def studies_of(run: Mapping[str, Any]) -> list[Document]:
    """A run's studies in the order they were begun."""
    return list(run.get("studies") or ())


def running(run: Mapping[str, Any], kind: str | None = None, node: str | None = None) -> list[Document]:
    """Those that are not over; of one kind, or with one candidate."""
    under_way = [s for s in studies_of(run) if s["status"] == "running" and kind in (None, s["kind"])]
    return [s for s in under_way if node is None or node in s["nodes"]]


def trainings(plan: Document) -> int:
    """How many trainings it takes at most: a confirmation that is clear at an early look takes fewer."""
    return len(plan["arms"]) * int(plan["seeds"])


def training_of(study: Document, arm: int, seed: int) -> tuple[str, int, int]:
    """The id of a study's training, its number in that, and the number of its seed, which no other study uses."""
    common = study["number"] * 100 + seed
    index = common if study["kind"] == "confirm" else common * 100 + arm
    return f"{study['arms'][arm]['candidate']}-{study['kind']}-{index}", index, common


def open_nodes(study: Document) -> list[str]:
    """The candidates of a study on which no look has decided yet."""
    judged = study["judged"]
    undecided = [n for n in study["nodes"] if n not in judged or judged[n][-1]["verdict"] == "continue"]
    return [n for n in undecided if n not in study["dropped"]]


def seconds_each(trials: Iterable[Document]) -> float | None:
    """The median time of a run's own whole trainings with their scoring; None where it has none."""
    whole = [t for t in trials if t["status"] == "scored" and not t.get("cached")]
    return median(t["cost"]["train_seconds"] + t["cost"]["score_seconds"] for t in whole) if whole else None


def _refuse(candidate: Document) -> None:
    node = candidate["id"]
    if node == ROOT:
        raise PoiseError(f"{node} is the root: it is what candidates are compared with", Exit.REFUSED)
    if candidate["status"] == "pruned":
        raise PoiseError(f"{node} is pruned: `poise restore` takes that back", Exit.REFUSED)
    if not (candidate["verification"] or {}).get("passed"):
        raise PoiseError(f"{node} is {candidate['status']} and has not passed verification", Exit.REFUSED)
    if candidate["overall"] is None:
        raise PoiseError(f"{node} is {candidate['status']} and was never scored", Exit.REFUSED)
