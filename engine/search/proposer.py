"""Proposal: a population of answers in different directions, screened; the best is implemented, the rest are ideas."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from engine.algorithms.catalogue import MechanismChoice, catalogue, own_mechanisms
from engine.errors import PoiseError
from engine.search.answers import Answer, BadAnswer, ProposalAnswer, read_model, read_proposal, with_name
from engine.search.consistency import read_consistency, read_screening
from engine.search.context import Message, Request, proposal_messages, repair_messages
from engine.search.directions import Direction, directions
from engine.search.ideas import Idea
from engine.search.llm import Ledger, LLMFailed, complete
from engine.search.record import NotRecorded
from engine.search.screen import Draft, Rated, screen
from engine.search.wording import unique_name

TRIES = 3
"""Answers that one proposal may take: the first and its repairs."""
POPULATION = 4
COMPOSER = "poise/composer"


@dataclass(frozen=True)
class Verdict:
    """What a check said of an answer."""

    problem: str | None = None
    """In one line; None: it may be trained."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """Verification's, if it ran."""


Check = Callable[[Answer], Awaitable[Verdict]]
"""What else must hold of an answer, such as verification in a child process. Never called twice at once."""


@dataclass(frozen=True)
class Proposal:
    """A usable proposal."""

    name: str
    hypothesis: str
    mechanisms: tuple[MechanismChoice, ...]
    code: str
    provenance: dict[str, str]
    """`{"proposer", "model"}`, as in a candidate document."""
    attempts: int
    """Answers it took, its repairs included."""
    usd: float
    """What all calls of the decision have cost."""
    answer: Answer
    report: Mapping[str, Any] = field(default_factory=dict)
    """What the check reported of just this code."""
    screening: tuple[dict[str, Any], ...] = ()
    """The whole population, best first, each with reasons and what became of it."""
    ideas: tuple[Idea, ...] = ()

    def document(self) -> dict[str, Any]:
        """`proposal`, as in a candidate document."""
        return {
            "hypothesis": self.hypothesis,
            "mechanisms": [m.document() for m in self.mechanisms],
            "bottleneck": self.answer.bottleneck,
            "expected": list(self.answer.expected),
            "words": list(self.answer.words),
            "risks": list(self.answer.risks),
            "screening": list(self.screening),
        }


@dataclass(frozen=True)
class ProposalFailed:
    """The models gave nothing usable."""

    cause: str
    provenance: dict[str, str]
    attempts: int
    usd: float
    fatal: bool = False
    """The next proposal will fail as well: the model does not exist or refuses the key."""
    answer: Answer | None = None
    """The last one that could be read and was checked."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """What the check reported of it."""
    screening: tuple[dict[str, Any], ...] = ()

    @property
    def code(self) -> str:
        """Of that answer; empty without one."""
        return self.answer.code if self.answer else ""


async def propose(
    request: Request,
    *,
    models: Sequence[str],
    seed: int,
    ledger: Ledger,
    node: str = "",
    timeout: float = 180.0,
    population: int = POPULATION,
    tries: int = TRIES,
    check: Check | None = None,
    signatures: Sequence[Mapping[str, Any]] = (),
    read: bool = False,
) -> Proposal | ProposalFailed:
    """One new algorithm from the evidence, and the ideas that were not chosen.

    Args:
        request: parent, archive, directive; its direction is set here.
        models: `poise/composer` or any model litellm knows; the directions take turns with them.
        seed: of this decision.
        ledger: pays and records the calls.
        node: id of the candidate that is decided; names the ideas.
        timeout: seconds for each answer.
        population: proposals asked for at once, each in a direction of its own.
        tries: answers one proposal may take; what was wrong with the last one is told to it.
        check: a further test of an answer.
        signatures: verification's, of earlier candidates, to tell what behaves like one of them.
        read: whether language models also read: the population once, and code against hypothesis.

    Raises:
        PoiseError: refused (4), the budget allows no call.
    """
    return await _Decision(
        request, tuple(models), seed, ledger, node, timeout, population, tries, check, signatures, read
    ).made()


class _Refused(Exception):
    """This proposal cannot be used; the next best may be."""


@dataclass
class _Decision:
    """One call of `propose`, with what it has spent and seen so far."""

    request: Request
    models: tuple[str, ...]
    seed: int
    ledger: Ledger
    node: str
    timeout: float
    population: int
    tries: int
    check: Check | None
    signatures: Sequence[Mapping[str, Any]]
    read: bool

    def __post_init__(self) -> None:
        self.tried = {c.key: c.name for c in self.request.candidates}
        self.taken = {c.name for c in self.request.candidates}
        self.directions = directions(self.request, self.seed, self.population)
        self.prompts = [self._messages(d) for d in self.directions]
        self.turns = count(self.population + 1)
        self.spent = 0.0
        self.attempts = 0
        self.verdicts: dict[str, Verdict] = {}
        """By code: nothing is checked twice."""
        self.last: tuple[Answer | None, Verdict] = (None, Verdict())
        self.refusal: PoiseError | None = None

    async def made(self) -> Proposal | ProposalFailed:
        """Ask, screen, implement."""
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._ask(i)) for i in range(self.population)]
        answered = [task.result() for task in asked]
        drafts = [d for d in answered if isinstance(d, Draft)]
        failures = [e for e in answered if isinstance(e, PoiseError)]
        if (gap := next((e for e in failures if isinstance(e, NotRecorded)), None)) is not None:
            raise gap  # a replay is exact, or it ends
        if not drafts:
            refused = next((e for e in failures if not isinstance(e, LLMFailed)), None)
            if refused is not None:
                raise refused
            fatal = all(isinstance(e, LLMFailed) and e.fatal for e in failures)
            return ProposalFailed(str(failures[0]), self._made_by(self.models[0]), self.attempts, self.spent, fatal)
        if any(d.model != COMPOSER for d in drafts) and len(drafts) > 1:
            drafts = [await self._examined(d) for d in drafts]
        ranking = screen(drafts, self.request, self.signatures)
        if self.read and len(ranking) > 1 and (reader := self._reader(ranking[0].draft)) is not None:
            ranking, usd = await read_screening(
                ranking, self.request, model=reader, seed=self.seed, ledger=self.ledger, timeout=self.timeout
            )
            self.spent += usd
        return await self._implemented(ranking)

    async def _ask(self, i: int) -> Draft | PoiseError:
        """The i-th direction's answer; whatever becomes of it, the others go on."""
        model = self.models[i % len(self.models)]
        try:
            text = await self._complete(model, self.prompts[i], "propose", i + 1)
        except PoiseError as e:
            return e
        return self._read(Draft(i + 1, self.directions[i], model, text, None, None))

    def _read(self, draft: Draft) -> Draft:
        """A draft with its text read, as far as that is possible."""
        wire: ProposalAnswer | None = None
        try:
            wire = read_model(draft.text, ProposalAnswer)
            answer = read_proposal(wire)
        except BadAnswer as e:
            return replace(draft, wire=wire, answer=None, problems=tuple(e.problems), signature=None)
        problems = _misnamed(answer, self.request) or _repeated(answer, self.tried)
        return replace(draft, wire=wire, answer=answer, problems=tuple(problems), signature=None)

    async def _examined(self, draft: Draft) -> Draft:
        """A draft with its verdict, for the ranking."""
        if draft.answer is None or draft.problems:
            return draft
        verdict = await self._checked(draft.answer)
        problems = () if verdict.problem is None else (verdict.problem,)
        return replace(draft, problems=problems, signature=verdict.report.get("signature"))

    async def _implemented(self, ranking: Sequence[Rated]) -> Proposal | ProposalFailed:
        """The best that can be made to work; only what is ranked first is repaired if it arrived broken."""
        outcomes: dict[int, str] = {}
        for i, rated in enumerate(ranking):
            if i and rated.draft.problems:
                outcomes[rated.draft.place] = f"not chosen, and broken: {rated.draft.problems[0]}"
                continue
            try:
                answer, attempts = await self._worked_out(rated.draft)
            except _Refused as e:
                outcomes[rated.draft.place] = f"failed: {e}"
                continue
            outcomes[rated.draft.place] = (
                "implemented" if attempts == 1 else f"implemented after {attempts - 1} repairs"
            )
            return self._proposal(answer, rated.draft, ranking, outcomes)
        if self.refusal is not None:
            raise self.refusal
        screening = tuple(r.document(outcomes[r.draft.place]) for r in ranking)
        first = ranking[0].draft
        cause = outcomes[first.place].removeprefix("failed: ")
        last, verdict = self.last
        return ProposalFailed(
            cause,
            self._made_by(first.model),
            self.attempts,
            self.spent,
            answer=last,
            report=verdict.report,
            screening=screening if self.population > 1 else (),
        )

    async def _worked_out(self, draft: Draft) -> tuple[Answer, int]:
        """A draft that passes every check, repaired at most `tries - 1` times, and the answers that took.

        Raises:
            _Refused: it does not.
        """
        messages = self.prompts[draft.place - 1]
        for attempt in range(1, self.tries + 1):
            problems = list(draft.problems) or await self._faults(draft)
            if not problems:
                assert draft.answer is not None
                return draft.answer, attempt
            if attempt == self.tries:
                break
            messages = repair_messages(messages, draft.text, problems)
            try:
                text = await self._complete(draft.model, messages, "repair", next(self.turns))
            except NotRecorded:
                raise
            except PoiseError as e:
                self.refusal = self.refusal if isinstance(e, LLMFailed) else e
                raise _Refused(str(e)) from None
            draft = self._read(replace(draft, text=text))
        times = "one answer, not usable" if self.tries == 1 else f"{self.tries} answers, none usable; the last"
        raise _Refused(f"{draft.model} gave {times}: {problems[0]}")

    async def _faults(self, draft: Draft) -> list[str]:
        """What the checks, and then the model's own reading, find wrong with a readable draft."""
        assert draft.answer is not None
        verdict = await self._checked(draft.answer)
        if verdict.problem is not None:
            return [verdict.problem]
        if not self.read or (reader := self._reader(draft)) is None:
            return []
        found = await read_consistency(
            draft.answer,
            verdict.report,
            model=reader,
            seed=self.seed,
            ledger=self.ledger,
            timeout=self.timeout,
            turn=next(self.turns),
        )
        self.spent += found.usd
        return list(found.mismatches)

    async def _checked(self, answer: Answer) -> Verdict:
        if self.check is None:
            return Verdict()
        if answer.code not in self.verdicts:
            try:
                verdict = await self.check(answer)
            except PoiseError as e:
                verdict = Verdict(str(e))
            self.verdicts[answer.code] = verdict
        self.last = (answer, self.verdicts[answer.code])
        return self.verdicts[answer.code]

    async def _complete(self, model: str, messages: Sequence[Message], purpose: str, turn: int) -> str:
        self.attempts += 1
        schema = ProposalAnswer.model_json_schema()
        reply = await complete(
            model,
            messages,
            purpose=purpose,
            schema=schema,
            timeout=self.timeout,
            seed=self.seed,
            ledger=self.ledger,
            turn=turn,
        )
        self.spent += reply.usd
        return reply.text

    def _proposal(self, answer: Answer, draft: Draft, ranking: Sequence[Rated], outcomes: dict[int, str]) -> Proposal:
        name = unique_name(answer.name, self.taken)
        ideas = []
        for r in ranking:
            if r.draft.place not in outcomes:
                outcomes[r.draft.place] = "kept as an idea"
                ideas.append(self._idea(r))
        return Proposal(
            name,
            answer.hypothesis,
            answer.mechanisms,
            answer.code if name == answer.name else with_name(answer.code, name),
            self._made_by(draft.model),
            self.attempts,
            self.spent,
            answer,
            self.verdicts.get(answer.code, Verdict()).report,
            tuple(r.document(outcomes[r.draft.place]) for r in ranking) if self.population > 1 else (),
            tuple(ideas),
        )

    def _idea(self, rated: Rated) -> Idea:
        d = rated.draft
        mechanisms = d.answer.mechanisms if d.answer else ()
        code = d.answer.code if d.answer else ""
        return Idea(f"{self.node}/{d.place}", d.name, d.hypothesis, d.direction.id, mechanisms, code, rated.why)

    def _messages(self, direction: Direction) -> list[Message]:
        return proposal_messages(replace(self.request, direction=direction.sentence or None), self.seed)

    def _reader(self, draft: Draft) -> str | None:
        """The model that may read: the draft's own, if it is a language model."""
        return None if draft.model == COMPOSER else draft.model

    def _made_by(self, model: str) -> dict[str, str]:
        return {"proposer": "composer" if model == COMPOSER else "llm", "model": model}


def _misnamed(answer: Answer, request: Request) -> list[str]:
    """The archive's evidence goes by name, so a name must stand for one thing."""
    inherited = own_mechanisms(request.parent_code)
    return [
        f"{name} is not the library's {name}: give it a name of its own"
        for name, entry in own_mechanisms(answer.code).items()
        if name in catalogue() and not (name in inherited and inherited[name].form == entry.form)
    ]


def _repeated(answer: Answer, tried: dict[str, str]) -> list[str]:
    # A mechanism of the model's own may have changed under its name: only its behaviour can tell.
    known = all(m.name in catalogue() for m in answer.mechanisms)
    same = tried.get(answer.key) if known else None
    return [] if same is None else [f"{same} has exactly these mechanisms already: change something"]
