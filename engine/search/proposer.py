"""Proposal: ask the model, validate what it returned, let it repair a bounded number of times."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from engine.algorithms.catalogue import MechanismChoice, catalogue, own_mechanisms
from engine.errors import PoiseError
from engine.search.answers import Answer, BadAnswer, ProposalAnswer, read_answer, with_name
from engine.search.context import Request, proposal_messages, repair_messages
from engine.search.llm import Ledger, LLMFailed, complete
from engine.search.wording import unique_name

TRIES = 3
"""Answers a model may give to one prompt."""
COMPOSER = "poise/composer"

Check = Callable[[Answer], Awaitable[str | None]]
"""What else must hold of an answer: None, or in one line what is wrong with it."""


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
    """Answers it took."""
    usd: float

    def document(self) -> dict[str, Any]:
        """`{"hypothesis", "mechanisms"}`, as in a candidate document."""
        return {"hypothesis": self.hypothesis, "mechanisms": [m.document() for m in self.mechanisms]}


@dataclass(frozen=True)
class ProposalFailed:
    """The model gave nothing usable."""

    cause: str
    provenance: dict[str, str]
    attempts: int
    usd: float
    fatal: bool = False
    """The next proposal will fail as well: the model does not exist or refuses the key."""


async def propose(
    request: Request,
    *,
    model: str,
    seed: int,
    ledger: Ledger,
    timeout: float = 180.0,
    tries: int = TRIES,
    check: Check | None = None,
) -> Proposal | ProposalFailed:
    """One new algorithm from the evidence.

    Args:
        request: parent, archive, directive.
        model: `poise/composer` or any model litellm knows.
        seed: of this decision.
        ledger: pays and records the calls.
        timeout: seconds for each answer.
        tries: answers the model may give; what was wrong with the last one is told to it.
        check: a further test of an answer, such as verification in a child process.

    Raises:
        PoiseError: refused (4), the budget allows no call.
    """
    made_by = {"proposer": "composer" if model == COMPOSER else "llm", "model": model}
    messages = proposal_messages(request, seed)
    tried = {c.key: c.name for c in request.candidates}
    taken = {c.name for c in request.candidates}
    spent = 0.0
    problems: list[str] = []
    for attempt in range(1, tries + 1):
        purpose = "propose" if attempt == 1 else "repair"
        schema = ProposalAnswer.model_json_schema()
        try:
            reply = await complete(
                model, messages, purpose=purpose, schema=schema, timeout=timeout, seed=seed, ledger=ledger, turn=attempt
            )
        except LLMFailed as e:
            return ProposalFailed(str(e), made_by, attempt, spent, e.fatal)
        spent += reply.usd
        try:
            answer = read_answer(reply.text)
            problems = _misnamed(answer, request) or _repeated(answer, tried) or await _checked(answer, check)
        except BadAnswer as e:
            problems = e.problems
        if not problems:
            name = unique_name(answer.name, taken)
            code = answer.code if name == answer.name else with_name(answer.code, name)
            return Proposal(name, answer.hypothesis, answer.mechanisms, code, made_by, attempt, spent)
        messages = repair_messages(messages, reply.text, problems)
    return ProposalFailed(f"{model} gave {tries} answers, none usable; the last: {problems[0]}", made_by, tries, spent)


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


async def _checked(answer: Answer, check: Check | None) -> list[str]:
    if check is None:
        return []
    try:
        problem = await check(answer)
    except PoiseError as e:
        problem = str(e)
    return [] if problem is None else [problem]
