"""Decision k: select a parent, build the context, propose, verify, record; and afterwards reflect."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from engine.algorithms.render import render
from engine.archive.files import write_atomic, write_json
from engine.archive.folder import RunFolder
from engine.archive.store import Document
from engine.errors import PoiseError
from engine.loop.book import Book, candidate_id, root_id, slot_of
from engine.loop.config import RunConfig, job_limits
from engine.loop.seeds import decision_seed
from engine.loop.settled import visible
from engine.process.executor import Executor
from engine.search.analyst import Case, write_reflection
from engine.search.answers import Answer, read_algorithm
from engine.search.context import Request
from engine.search.curves import Curves, read_points, summarize
from engine.search.evidence import Evidence, from_document, seen
from engine.search.llm import Ledger
from engine.search.proposer import Proposal, ProposalFailed, propose
from engine.search.select import Selection, Weights, select_parent
from engine.search.twins import find_twin

ROOT_HYPOTHESIS = "The root every other candidate is compared with."


class Decider:
    """Makes decisions and writes them into the book.

    Args:
        folder: the run's folder.
        config: the run's configuration.
        book: what is known.
        executor: runs verifications.
    """

    def __init__(self, folder: RunFolder, config: RunConfig, book: Book, executor: Executor) -> None:
        self.folder = folder
        self.config = config
        self.book = book
        self.executor = executor
        self._verified: dict[str, dict[str, Any]] = {}
        """What `find_twin` needs of earlier candidates' verifications."""
        self.ledger = Ledger(
            folder.llm,
            limit_usd=book.run["budget"].get("usd"),
            spent_usd=float(book.run["spent"]["llm_usd"]),
            on_call=self._on_call,
        )

    def create_root(self) -> None:
        """Record the root: GRPO, or the file the user gave."""
        if self.config.root:
            code = Path(self.config.root).read_text(encoding="utf-8")
            name, mechanisms = read_algorithm(code)
        else:
            code, name, mechanisms = render("GRPO", ROOT_HYPOTHESIS, ()), "GRPO", ()
        made_by = {"proposer": "root", "model": None}
        self._write_files(root_id(), code, {"name": name, "hypothesis": ROOT_HYPOTHESIS})
        listed = [m.document() for m in mechanisms]
        self.book.create_candidate(
            self._document(root_id(), name, None, code, ROOT_HYPOTHESIS, listed, "verifying", made_by)
        )

    async def verify_root(self) -> None:
        """The root passes the same verification as everybody; without it there is no run."""
        root = self.book.candidates[root_id()]
        code = self.folder.candidate(root_id()).algorithm.read_text(encoding="utf-8")
        report = await self._verify(root_id(), code, root["name"], ROOT_HYPOTHESIS)
        self.book.update(root_id(), verification=report)
        self.book.set_status(root_id(), "queued" if report["passed"] else "infeasible", report["cause"])

    async def decide(self, k: int) -> str:
        """Make decision k and record its candidate.

        Returns:
            the candidate's id; its status says whether it may train.

        Raises:
            PoiseError: refused (4), the budget allows no proposal; else the model cannot be asked at all.
        """
        node = candidate_id(k)
        evidence = self._evidence(k)
        selection = select_parent(
            evidence,
            seed=decision_seed(self.config.seed, k),
            k=k,
            weights=Weights(**self.config.profile["search"]["weights"]),
        )
        parent = selection.parent
        self.book.tell("decision", node, {"id": node, "parent": parent, **selection.document()})
        request = Request(
            parent=parent,
            candidates=evidence,
            parent_code=self.folder.candidate(parent).algorithm.read_text(encoding="utf-8"),
            directive=self.config.directive or None,
            setting=setting_of(self.config.profile),
        )
        report: dict[str, Any] = {}

        async def check(answer: Answer) -> str | None:
            report.clear()
            report.update(await self._verify(node, answer.code, answer.name, answer.hypothesis))
            cause: str | None = report["cause"]
            # What acts on none of this profile's batches would cost a training and teach nothing.
            return cause or next((w for w in report.get("warnings", ()) if "is inert" in w), None)

        made = await propose(
            request,
            model=self.config.llm,
            seed=decision_seed(self.config.seed, k),
            ledger=self.ledger,
            check=check,
        )
        if isinstance(made, ProposalFailed) and made.fatal:
            raise PoiseError(made.cause)
        if isinstance(made, ProposalFailed):
            self._record_failure(node, selection, made, report)
        else:
            self._record_proposal(node, selection, made, report)
        return node

    async def reflect(self, candidate: str, status: str | None = None, cause: str | None = None) -> None:
        """Write the reflection of a candidate whose slot is about to settle with this status."""
        document = dict(self.book.candidates[candidate])
        if status is not None:
            document |= {"status": status, "cause": cause}
        parent = document["parent"]
        case = Case(
            candidate=self._decision_view(document),
            parent=self._decision_view(self.book.candidates[parent]) if parent else None,
            curves=self._curves(candidate),
            parent_curves=self._curves(parent) if parent else None,
        )
        reflection = await write_reflection(
            case,
            model=self.config.llm,
            seed=decision_seed(self.config.seed, slot_of(candidate)),
            ledger=self.ledger,
        )
        path = self.folder.candidate(candidate).reflection
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, reflection.text.encode())
        cost = {**self.book.candidates[candidate]["cost"], "llm_usd": self._llm_usd(candidate)}
        self.book.update(candidate, reflection=reflection.text, cost=cost)

    def derive(self, candidate: str) -> None:
        """Take a candidate's figures from its trials: Overall is the mean over its scored trainings."""
        trials = self.book.trials_of(candidate)
        scored = [t for t in trials if t["status"] == "scored"]
        cost = dict(self.book.candidates[candidate]["cost"])
        cost["train_seconds"] = round(sum(t["cost"]["train_seconds"] for t in trials), 3)
        cost["gpu_seconds"] = round(sum(t["cost"]["gpu_seconds"] for t in trials), 3)
        fields: Document = {"cost": cost, "seeds": [t["seed"] for t in scored]}
        if scored:
            fields["overall"] = sum(t["overall"] for t in scored) / len(scored)
            fields["benchmarks"] = scored[0]["benchmarks"]
            fields["fidelity"] = max(t["rung"] for t in scored)
        self.book.update(candidate, **fields)

    # -- what a decision may see

    def _evidence(self, k: int) -> list[Evidence]:
        documents = [self._deciding(self.book.candidates[candidate_id(slot)]) for slot in range(k)]
        return seen(documents, visible(k, self.config.lag))

    def _decision_view(self, document: Document) -> Evidence:
        return from_document(self._deciding(document))

    def _deciding(self, document: Document) -> Document:
        """A candidate with the figures of its search trial alone: further seeds arrive at any time, decisions must not
        depend on it.
        """
        own = self.book.trials_of(document["id"], "search")
        figures = own[0] if own else {"overall": None, "benchmarks": {}}
        return {**document, "overall": figures["overall"], "benchmarks": figures["benchmarks"]}

    def _curves(self, candidate: str) -> Curves | None:
        own = self.book.trials_of(candidate, "search")
        if not own:
            return None
        points = read_points(self.folder.trial(own[0]["id"]).metrics, self.config.profile["train"]["updates"])
        return summarize(points)

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
        report: dict[str, Any] = result["data"] if result["status"] == "done" else {}
        report.setdefault("passed", False)
        report.setdefault("cause", result["cause"])
        report["seconds"] = result["wall_seconds"]
        write_json(place.verification, report)
        # The archive keeps what people read; the signature stays with the candidate's files.
        return {key: value for key, value in report.items() if key != "signature"}

    def _record_proposal(self, node: str, selection: Selection, made: Proposal, report: dict[str, Any]) -> None:
        self._write_files(node, made.code, {"name": made.name, **made.document(), "attempts": made.attempts})
        mechanisms = [m.document() for m in made.mechanisms]
        twin = find_twin(node, self._reports(node))
        document = self._document(
            node, made.name, selection, made.code, made.hypothesis, mechanisms, "queued", made.provenance
        )
        document["verification"] = report | ({"twin": twin.document()} if twin else {})
        document["cost"]["llm_usd"] = self._llm_usd(node)
        if twin is not None and twin.duplicate:
            document |= {"status": "duplicate", "cause": twin.sentence, "finished": time.time()}
        self.book.create_candidate(document)

    def _record_failure(self, node: str, selection: Selection, made: ProposalFailed, report: dict[str, Any]) -> None:
        path = self.folder.candidate(node).algorithm
        code = path.read_text(encoding="utf-8") if path.exists() else ""
        document = self._document(node, f"proposal {node}", selection, code, "", [], "failed", made.provenance)
        unfit = bool(report) and (not report["passed"] or "is inert" in made.cause)
        document |= {"status": "infeasible" if unfit else "failed", "finished": time.time()}
        document |= {"cause": made.cause, "verification": report or None}
        document["cost"]["llm_usd"] = self._llm_usd(node)
        self.book.create_candidate(document)

    def _reports(self, node: str) -> dict[str, dict[str, Any]]:
        """What verification said of a candidate and of every earlier one that passed, by id, in order."""
        earlier = [other for other in sorted(self.book.candidates, key=slot_of) if slot_of(other) < slot_of(node)]
        for other in earlier:  # an earlier one's verification does not change any more: read once
            if other not in self._verified:
                self._verified[other] = self._report(other)
        reports = {**{other: self._verified[other] for other in earlier}, node: self._report(node)}
        return {key: report for key, report in reports.items() if report.get("passed")}

    def _report(self, node: str) -> dict[str, Any]:
        path = self.folder.candidate(node).verification
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return {key: report.get(key) for key in ("passed", "fingerprint", "profile_fingerprint", "signature")}

    def _document(
        self,
        node: str,
        name: str,
        selection: Selection | None,
        code: str,
        hypothesis: str,
        mechanisms: list[dict[str, Any]],
        status: str,
        provenance: dict[str, Any],
    ) -> Document:
        parent = selection.parent if selection else None
        return {
            "id": node,
            "name": name,
            "parent": parent,
            "depth": self.book.candidates[parent]["depth"] + 1 if parent else 0,
            "status": status,
            "cause": None,
            "proposal": {"hypothesis": hypothesis, "mechanisms": mechanisms},
            "code_sha256": hashlib.sha256(code.encode()).hexdigest(),
            "verification": None,
            "overall": None,
            "benchmarks": {},
            "fidelity": 0.0,
            "seeds": [],
            "reflection": None,
            "attribution": None,
            "confirmed": None,
            "cost": {"train_seconds": 0.0, "gpu_seconds": 0.0, "llm_usd": 0.0},
            "provenance": provenance,
            "sandbox": self.book.run["sandbox"],
            "created": time.time(),
            "finished": None,
            "pinned": False,
            "decision": selection.document() if selection else None,
        }

    def _write_files(self, node: str, code: str, proposal: dict[str, Any]) -> None:
        place = self.folder.candidate(node)
        place.path.mkdir(parents=True, exist_ok=True)
        write_atomic(place.algorithm, code.encode())
        write_json(place.proposal, proposal)

    def _on_call(self, call: dict[str, Any], spent_usd: float) -> None:
        self.book.tell("llm.call", None, call)
        if call["usd"]:
            self.book.spend(llm_usd=spent_usd)

    def _llm_usd(self, node: str) -> float:
        """What a candidate's calls have cost, by the ledger: failed ones and those of engines that died included."""
        return self.ledger.spent_on(decision_seed(self.config.seed, slot_of(node)))


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
