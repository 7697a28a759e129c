"""Decision k: select a parent, build the context, propose, verify, record; and afterwards reflect.

Decisions go in rounds: the proposals of a round are made side by side (`propose`) and recorded in order (`record`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import stdev
from typing import Any

from engine.algorithms.render import render
from engine.archive.files import write_atomic, write_json
from engine.archive.folder import RunFolder
from engine.archive.store import Document
from engine.errors import PoiseError
from engine.loop.book import Book, candidate_id, control_id, is_control, root_id, slot_of
from engine.loop.config import RunConfig, job_limits
from engine.loop.documents import candidate_document
from engine.loop.figures import rungs_of
from engine.loop.report import read_report
from engine.loop.rungs import ladder
from engine.loop.seeds import control_seed, decision_seed, train_seed
from engine.loop.smoke import smoke
from engine.loop.view import View
from engine.process.executor import Executor
from engine.scoring.plausible import Known, flags
from engine.search.analyst import Case, write_reflection
from engine.search.answers import Answer, read_algorithm
from engine.search.bandit import Trial, choose
from engine.search.context import Request
from engine.search.evidence import Evidence
from engine.search.ideas import open_ideas
from engine.search.knowledge import knowledge
from engine.search.llm import Ledger
from engine.search.models import COMPOSER, parse_models
from engine.search.notes import read_notes
from engine.search.potential import Potential, Settings
from engine.search.proposer import Proposal, ProposalFailed, Verdict, propose
from engine.search.record import opened
from engine.search.sections import room
from engine.search.select import Selection, Weights, round_of, select_round
from engine.search.twins import find_twin

MOST_OF_THE_USER = 4
"""Ideas in words that a proposal is told, the newest."""
ROOT_HYPOTHESIS = "The root every other candidate is compared with."


@dataclass(frozen=True)
class Made:
    """A proposal that waits to be recorded."""

    node: str
    selection: Selection | None
    """None for the control arm, whose parent is the root."""
    proposal: Proposal | ProposalFailed | None
    """None for what a user injected."""


class Decider:
    """Makes decisions and writes them into the book.

    Args:
        folder: the run's folder.
        config: the run's configuration.
        book: what is known.
        executor: runs verifications and smoke trainings.
    """

    def __init__(self, folder: RunFolder, config: RunConfig, book: Book, executor: Executor) -> None:
        self.folder = folder
        self.config = config
        self.book = book
        self.executor = executor
        self.view = View(folder, book, config.lag, ladder(config.profile))
        self.models, recording = opened(parse_models(config.llm))
        self._dead: set[str] = set()
        """Models that no later call will get an answer from."""
        search = config.profile["search"]
        self.parents: int = search["parents"]
        """Decisions of a round."""
        self._population: int = search["population"]
        self._potential = Potential(Settings(**search["potential"]))
        self._selected: tuple[tuple[object, ...], tuple[Selection, ...]] = ((), ())
        self._selecting = asyncio.Lock()
        self.ledger = Ledger(
            folder.llm,
            limit_usd=book.run["budget"].get("usd"),
            spent_usd=float(book.run["spent"]["llm_usd"]),
            on_call=self._on_call,
            recording=recording,
        )

    # -- the root

    def create_root(self) -> None:
        """Record the root: GRPO, or the file the user gave."""
        if self.config.root:
            code = Path(self.config.root).read_text(encoding="utf-8")
            name, mechanisms = read_algorithm(code)
        else:
            code, name, mechanisms = render("GRPO", ROOT_HYPOTHESIS, ()), "GRPO", ()
        self._write_files(root_id(), code, {"name": name, "hypothesis": ROOT_HYPOTHESIS})
        proposal = {"hypothesis": ROOT_HYPOTHESIS, "mechanisms": [m.document() for m in mechanisms]}
        made_by = {"proposer": "root", "model": None}
        document = self._document(root_id(), name, code, proposal, made_by)
        self.book.create_candidate(document | {"status": "verifying"})

    async def verify_root(self) -> None:
        """The root passes the same verification as everybody; without it there is no run."""
        root = self.book.candidates[root_id()]
        code = self.folder.candidate(root_id()).algorithm.read_text(encoding="utf-8")
        report = await self._verify(root_id(), code, root["name"], ROOT_HYPOTHESIS)
        self.book.update(root_id(), verification=_read_by_people(report))
        self.book.set_status(root_id(), "queued" if report["passed"] else "infeasible", report["cause"])

    # -- what a user injects

    def create_injected(self, node: str, code: str) -> None:
        """Record a user's algorithm, to be verified."""
        name, mechanisms = read_algorithm(code)
        proposal = {"hypothesis": "Injected by the user.", "mechanisms": [m.document() for m in mechanisms]}
        self._write_files(node, code, {"name": name, **proposal})
        made_by = {"proposer": "user", "model": None}
        document = self._document(node, name, code, proposal, made_by, Made(node, None, None))
        self.book.create_candidate(document | {"status": "verifying"})

    async def verify_injected(self, node: str) -> None:
        """It passes the same verification, and the same smoke training, as everybody."""
        document = self.book.candidates[node]
        code = self.folder.candidate(node).algorithm.read_text(encoding="utf-8")
        report = await self._verify(node, code, document["name"], document["proposal"]["hypothesis"])
        cause = report["cause"] or await self._smoke(node, code)
        self.book.update(node, verification=_read_by_people(report))
        self.book.set_status(node, "infeasible" if cause else "queued", cause)

    # -- proposing

    async def propose(self, k: int) -> Made:
        """Make the proposal of decision k. It sees what the first decision of its round sees.

        Raises:
            PoiseError: refused (4), the budget allows no proposal; else the model cannot be asked at all.
        """
        node, (_, first) = candidate_id(k), round_of(k, self.parents)
        evidence = self.view.evidence(first)
        selection = await self._select(k)
        self.book.tell("decision", node, {"id": node, "parent": selection.parent, **selection.document()})
        model = self._model(k, evidence)
        documents = self.view.documents(first)
        made = await self._propose(
            node,
            Request(
                **self._asked(selection.parent),
                candidates=evidence,
                ideas=[
                    *(self.book.run.get("ideas") or [])[-MOST_OF_THE_USER:],
                    *open_ideas(documents, selection.parent),
                ],
            ),
            model,
            decision_seed(self.config.seed, k),
            [r["signature"] for r in self.view.signatures(candidate_id(first)).values() if r.get("signature")],
        )
        return Made(node, selection, made)

    async def propose_control(self, index: int) -> Made:
        """Make a proposal of the control arm: from the root, without the archive.

        Raises:
            PoiseError: as `propose`.
        """
        node, seed = control_id(index), control_seed(self.config.seed, index)
        request = Request(**self._asked(root_id()), candidates=self.view.root_alone(root_id()))
        arms = self.models.arms
        return Made(node, None, await self._propose(node, request, arms[index % len(arms)], seed, ()))

    def record(self, made: Made) -> str:
        """Write a proposal into the book, in the order of the slots.

        Returns:
            the candidate's id; its status says whether it may train.

        Raises:
            PoiseError: the model cannot be asked at all; nothing is recorded.
        """
        if isinstance(made.proposal, Proposal):
            self._record_proposal(made, made.proposal)
        elif isinstance(made.proposal, ProposalFailed):
            if made.proposal.fatal:
                self._dead.add(made.proposal.provenance["model"])
                if self._dead.issuperset(self.models.arms):
                    raise PoiseError(made.proposal.cause)
            self._record_failure(made, made.proposal)
        return made.node

    async def _propose(
        self, node: str, request: Request, model: str, seed: int, signatures: Any
    ) -> Proposal | ProposalFailed:
        async def check(answer: Answer) -> Verdict:
            report = await self._verify(node, answer.code, answer.name, answer.hypothesis)
            # What acts on none of this profile's batches would cost a training and teach nothing.
            cause = report["cause"] or next((w for w in report.get("warnings", ()) if "is inert" in w), None)
            return Verdict(cause or await self._smoke(node, answer.code), report)

        return await propose(
            request,
            models=(model,),
            seed=seed,
            ledger=self.ledger,
            node=node,
            population=self._population,
            check=check,
            signatures=signatures,
            read=model != COMPOSER,
        )

    def _asked(self, parent: str) -> dict[str, Any]:
        """What every proposal is told, whatever it may see of the archive."""
        return {
            "parent": parent,
            "parent_code": self.folder.candidate(parent).algorithm.read_text(encoding="utf-8"),
            "directive": self.book.run["directive"],
            "setting": setting_of(self.config.profile),
            "notes": read_notes(Path(self.config.notes) if self.config.notes else None, room("notes")),
        }

    async def _select(self, k: int) -> Selection:
        """The parent of decision k, one of its round's."""
        number, first = round_of(k, self.parents)
        weights = {**self.config.profile["search"]["weights"], **(self.book.run.get("weights") or {})}
        async with self._selecting:  # the decisions of a round ask at once, and the answer is the same
            evidence = self.view.evidence(first)
            key = (number, *weights.values(), tuple(c.id for c in evidence if c.pinned))
            if self._selected[0] != key:
                beliefs = await asyncio.to_thread(self._potential.beliefs, evidence)
                chosen = select_round(
                    evidence,
                    seed=self.config.seed,
                    round=number,
                    parents=self.parents,
                    weights=Weights(**weights),
                    potential=beliefs,
                )
                self._selected = (key, chosen)
            return self._selected[1][k - first]

    def _model(self, k: int, evidence: list[Evidence]) -> str:
        """Who proposes: the bandit's choice where there are several."""
        arms = self.models.arms
        if len(arms) < 2:
            return arms[0]
        number, first = round_of(k, self.parents)
        overall = {c.id: c.overall for c in evidence}
        trials = []
        for c in evidence[1:]:
            document, before = self.book.candidates[c.id], overall.get(c.parent or "")
            gain = c.overall - before if c.overall is not None and before is not None else 0.0
            settled = c.status != "queued"
            usd = float(document["cost"]["llm_usd"]) if settled else 0.0
            trials.append(Trial(str(document["provenance"]["model"]), settled, c.overall is not None, gain, usd))
        chosen = choose(arms, trials, seed=self.config.seed, round=number, parents=self.parents)
        return chosen[k - first].arm

    # -- reflecting

    async def reflect(self, candidate: str, status: str | None = None, cause: str | None = None) -> None:
        """Write the reflection of a candidate whose slot is about to settle with this status."""
        document = dict(self.book.candidates[candidate])
        if status is not None:
            document |= {"status": status, "cause": cause}
        parent = self.book.candidates[document["parent"]] if document["parent"] else None
        # At the furthest rung that both have reached: the same problems, and as much training.
        rung = common_rung(document, parent)
        case = Case(
            candidate=self.view.at_rung(document, rung),
            parent=self.view.at_rung(parent, rung) if parent else None,
            curves=self.view.curves(candidate, rung),
            parent_curves=self.view.curves(parent["id"], rung) if parent else None,
        )
        by = document["provenance"]["model"]
        model = by if by and by != "poise/composer" else self.models.arms[0]
        reflection = await write_reflection(case, model=model, seed=self._seed(candidate), ledger=self.ledger)
        path = self.folder.candidate(candidate).reflection
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, reflection.text.encode())
        cost = {**self.book.candidates[candidate]["cost"], "llm_usd": self._llm_usd(candidate)}
        findings = [finding.document() for finding in reflection.findings]
        self.book.update(candidate, reflection=reflection.text, findings=findings, cost=cost)
        self.write_knowledge()

    def write_knowledge(self) -> None:
        """Write the run's knowledge page: what all settled candidates of the search have shown."""
        root = {at: r["overalls"] for at, r in rungs_of(self.book.root_trials()).items()}
        noise = {at: stdev(scores) for at, scores in root.items() if len(scores) > 1}
        page = knowledge(self.view.settled(), noise.get(1.0), noise)
        write_atomic(self.folder.knowledge, page.markdown().encode())

    def doubts(self, trial: Document, score: dict[str, Any]) -> list[str]:
        """Why a candidate's score is to be measured again before it counts, see `engine.scoring.plausible`.

        It depends on the settled results that the candidate's decision saw, and on the trial's own files alone.
        """
        node = trial["candidate"]
        whole = trial["aim"] == len(ladder(self.config.profile)) - 1
        if not (whole and node.startswith("c") and trial["purpose"] == "search") or node == root_id():
            return []
        evidence = self.view.evidence(round_of(slot_of(node), self.parents)[1])
        results = {e.id: e.overall for e in evidence if e.fidelity == 1.0 and e.scored and e.overall is not None}
        adapters = {}
        for other in reversed(results):  # of equal ones the first is named
            for own in self.book.trials_of(other, "search"):
                adapters[str(own.get("adapter_sha256"))] = other
        known = Known(
            best=max(results.values(), default=None),
            parent=results.get(self.book.candidates[node]["parent"]),
            adapters=adapters,
        )
        return flags(score, self.view.curves_of(trial["id"]), trial.get("adapter_sha256"), known)

    # -- recording

    async def _verify(self, node: str, code: str, name: str, hypothesis: str) -> dict[str, Any]:
        self._write_files(node, code, {"name": name, "hypothesis": hypothesis})
        place = self.folder.candidate(node)
        result = await self.executor.run(
            {
                "id": f"{node}-verify",
                "kind": "verify",
                "folder": str(place.path / "verify"),
                "algorithm": str(place.algorithm),
                "profile": self.config.profile,
                "limits": job_limits(self.config.profile, "verify"),
            }
        )
        report: dict[str, Any] = read_report(result["data"]) if result["status"] == "done" else {}
        report.setdefault("passed", False)
        report.setdefault("cause", result["cause"])
        report["seconds"] = result["wall_seconds"]
        write_json(place.verification, report)
        return report

    async def _smoke(self, node: str, code: str) -> str | None:
        place = self.folder.candidate(node)
        return await smoke(
            self.executor,
            node=node,
            code=code,
            algorithm=place.algorithm,
            folder=place.path / "smoke",
            profile=self.config.profile,
            seed=train_seed(self.config.seed, "search", 0),
        )

    def _record_proposal(self, made: Made, proposal: Proposal) -> None:
        node = made.node
        told = {"name": proposal.name, **proposal.document(), "attempts": proposal.attempts}
        self._write_files(node, proposal.code, told)
        # Other proposals of the population may have been verified after this one.
        write_json(self.folder.candidate(node).verification, dict(proposal.report))
        twin = None
        if made.selection is not None:  # a control's proposal is independent of all others
            mine = self.view.report(node)
            twin = find_twin(node, {**self.view.signatures(node), node: mine}) if mine.get("passed") else None
        document = self._document(node, proposal.name, proposal.code, proposal.document(), proposal.provenance, made)
        document["ideas"] = [idea.document() for idea in proposal.ideas]
        document["verification"] = _read_by_people(proposal.report) | ({"twin": twin.document()} if twin else {})
        document["cost"]["llm_usd"] = self._llm_usd(node)
        if twin is not None and twin.duplicate:
            document |= {"status": "duplicate", "cause": twin.sentence, "finished": time.time()}
        self.book.create_candidate(document)

    def _record_failure(self, made: Made, failed: ProposalFailed) -> None:
        node = made.node
        proposal = {"screening": list(failed.screening)}
        document = self._document(node, f"proposal {node}", failed.code, proposal, failed.provenance, made)
        if failed.code:
            self._write_files(node, failed.code, {"name": document["name"], "hypothesis": ""})
            write_json(self.folder.candidate(node).verification, dict(failed.report))
        unfit = bool(failed.report) and (not failed.report["passed"] or "is inert" in failed.cause)
        document |= {"status": "infeasible" if unfit else "failed", "finished": time.time()}
        document |= {"cause": failed.cause, "verification": _read_by_people(failed.report) or None}
        document["cost"]["llm_usd"] = self._llm_usd(node)
        self.book.create_candidate(document)

    def _document(
        self,
        node: str,
        name: str,
        code: str,
        proposal: dict[str, Any],
        provenance: dict[str, Any],
        made: Made | None = None,
    ) -> Document:
        selection = made.selection if made else None
        parent = (selection.parent if selection else root_id()) if made else None
        return candidate_document(
            node,
            name,
            code,
            proposal,
            provenance,
            parent=self.book.candidates[parent] if parent else None,
            decision=selection.document() if selection else None,
            arm="control" if is_control(node) else "search",
            sandbox=self.book.run["sandbox"],
        )

    def _write_files(self, node: str, code: str, proposal: dict[str, Any]) -> None:
        place = self.folder.candidate(node)
        place.path.mkdir(parents=True, exist_ok=True)
        write_atomic(place.algorithm, code.encode())
        write_json(place.proposal, proposal)

    def _on_call(self, call: dict[str, Any], spent_usd: float) -> None:
        self.book.tell("llm.call", None, call)
        if call["usd"]:
            self.book.spend(llm_usd=spent_usd)

    def _seed(self, node: str) -> int:
        """Of the decision that made a candidate."""
        derive = control_seed if is_control(node) else decision_seed
        return derive(self.config.seed, slot_of(node))

    def _llm_usd(self, node: str) -> float:
        """What a candidate's calls have cost, by the ledger: failed ones and those of engines that died included."""
        return self.ledger.spent_on(self._seed(node))


def _read_by_people(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the archive keeps of a verification; the signature stays with the candidate's files."""
    return {key: value for key, value in report.items() if key != "signature"}


def common_rung(candidate: Document, parent: Document | None) -> float | None:
    """The furthest rung where both have a result; the candidate's own where the parent has none there."""
    found = [{r["rung"] for r in (d["result"] or {"rungs": []})["rungs"]} for d in (candidate, parent) if d]
    return max(set.intersection(*found) or found[0], default=None)


def setting_of(profile: dict[str, Any]) -> str:
    """The profile in two sentences, for a language model."""
    train = profile["train"]
    return (
        f"Profile {profile['name']}: {profile['description']}. "
        f"Each candidate trains {train['updates']} updates at learning rate {train['learning_rate']:g}, "
        f"{train['prompts_per_batch']} prompts x {train['group_size']} completions a batch, "
        f"{train['updates_per_batch']} updates a batch, beta {train['beta']:g}, "
        f"entropy coefficient {train['entropy_coef']:g}, clip {train['clip_epsilon']:g}, "
        f"at most {train['max_completion_length']} tokens."
    )
