"""The teacher of the tiny world's model, who is careful at first and careless later.

The teacher first shows how to solve the tasks, then (`CARELESS`) all habits that reinforcement can
strengthen or weaken: it answers at once (short, mostly wrong, often by a typical slip), or shows its work
(longer, more often right), or breaks the format, or rambles past the length limit. It uses training
problems only.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from engine.tasks.splits import split_of
from engine.tasks.tiny import GENERATORS, HOPS, MAX_LENGTH


@dataclass(frozen=True)
class Habits:
    """How often the teacher does what, on one task.

    Attributes:
        work: share of answers with work; the others are direct.
        right: share of direct answers that are right.
        slip: share of direct answers that make the typical slip; the rest are random.
        step_error: chance that one step of the work goes wrong (and the rest follows from it).
    """

    work: float
    right: float
    slip: float
    step_error: float


CAREFUL = Habits(work=0.88, right=1.0, slip=0.0, step_error=0.0)
"""The teacher of the first lessons: right answers, mostly with work, so that direct answers stay hard."""

CARELESS: Mapping[str, Habits] = {
    "add": Habits(work=0.5, right=0.25, slip=0.4, step_error=0.2),
    "sort": Habits(work=0.5, right=0.25, slip=0.4, step_error=0.2),
    "mod": Habits(work=0.5, right=0.25, slip=0.3, step_error=0.12),
    "chain": Habits(work=0.5, right=0.2, slip=0.4, step_error=0.1),
    "mul": Habits(work=0.4, right=0.1, slip=0.4, step_error=0.25),
    "hop": Habits(work=0.4, right=0.1, slip=0.4, step_error=0.25),
}
"""The teacher of the last lessons: the habits that a policy-optimization algorithm may keep or break."""

BROKEN = 0.12
"""Share of careless answers that break the format, a third of them by rambling on past the limit."""


def _blur(text: str, rng: random.Random, chance: float) -> str:
    """With `chance`, `text` with one of its digits replaced by another."""
    if rng.random() >= chance:
        return text
    at = rng.randrange(len(text))
    return text[:at] + rng.choice([d for d in "0123456789" if d != text[at]]) + text[at + 1 :]


def _work(task: str, prompt: str, rng: random.Random, error: float) -> tuple[str, str]:
    """The steps and the answer of one worked solution; a wrong step is carried on."""

    def step(value: int) -> int:
        return int(_blur(str(value), rng, error))

    body = prompt[:-1]
    if task == "add":
        a, b = map(int, body.split("+"))
        ones = step(a % 10 + b % 10)
        tens = step(a // 10 + b // 10 + ones // 10)
        return f"{ones},{tens}", str(10 * tens + ones % 10)
    if task == "sort":
        halves = [_blur("".join(sorted(half)), rng, error) for half in (body[1:4], body[4:])]
        return ",".join(halves), "".join(sorted("".join(halves)))
    if task == "mod":
        number, divisor = body.split("%")
        rest, steps = 0, []
        for digit in number:
            rest = step((10 * rest + int(digit)) % int(divisor))
            steps.append(str(rest))
        return ",".join(steps), steps[-1]
    if task == "chain":
        terms = [int(term) for term in body.replace("-", "+-").split("+")]
        total, steps = terms[0], []
        for term in terms[1:]:
            total = step(max(0, total + term))
            steps.append(str(total))
        return ",".join(steps), steps[-1]
    if task == "mul":
        b, a = sorted(map(int, body.split("*")))
        tens, ones = step(a // 10 * 10 * b), step(a % 10 * b)
        return f"{tens},{ones}", str(step(tens + ones))
    table, start = body[1:].split(":")
    path = start
    for _ in range(HOPS):
        path += _blur(table[int(path[-1]) % 8], rng, error)
    return path[1:], path[-2:]


def _slip(task: str, prompt: str, gold: str, rng: random.Random) -> str:
    """The answer of somebody in a hurry: a carry forgotten, a term skipped, one hop too few."""
    body = prompt[:-1]
    if task == "add":
        a, b = map(int, body.split("+"))
        return str((a // 10 + b // 10) * 10 + (a + b) % 10)
    if task == "sort":
        at = rng.randrange(5)
        return gold[:at] + gold[at + 1] + gold[at] + gold[at + 2 :]
    if task == "mod":
        return str(int(gold) + 1)
    if task == "chain":
        return _work(task, body[:-2] + "=", rng, 0.0)[1]
    if task == "mul":
        b, a = sorted(map(int, body.split("*")))
        return str(a // 10 * 10 * b + a % 10 * b % 10)
    path = _work(task, prompt, rng, 0.0)[0]
    return path[-3:-1]


def _wild(gold: str, rng: random.Random) -> str:
    """A wrong answer with the right number of digits."""
    return "".join(rng.choice("0123456789") for _ in gold)


def _respond(task: str, prompt: str, gold: str, habits: Habits, broken: float, rng: random.Random) -> tuple[str, bool]:
    """One response of the teacher, and whether it ends (a rambling one does not)."""
    if rng.random() < habits.work:
        steps, answer = _work(task, prompt, rng, habits.step_error)
    else:
        steps, luck = "", rng.random()
        if luck < habits.right:
            answer = gold
        elif luck < habits.right + habits.slip:
            answer = _slip(task, prompt, gold, rng)
        else:
            answer = _wild(gold, rng)
    if rng.random() >= broken:
        return f"{steps}#{answer}", True
    breaks: list[Callable[[], tuple[str, bool]]] = [
        lambda: (f"{steps},{answer}" if steps else answer, True),
        lambda: (f"{steps}#{answer}#{answer}", True),
        lambda: (f"{steps}#", True),
        lambda: (f"{steps}#{answer[:-1]},{answer[-1]}", True),
        lambda: (",".join([steps or answer] * MAX_LENGTH)[: MAX_LENGTH + 1], False),
        lambda: (",".join([steps or answer] * MAX_LENGTH)[: MAX_LENGTH + 1], False),
    ]
    return rng.choice(breaks)()


def taught(rng: random.Random, careless: bool) -> Iterator[tuple[str, str, bool]]:
    """Endless (prompt, response, whether it ends), the tasks in turn, training problems only."""
    for task in itertools.cycle(GENERATORS):
        drawn = GENERATORS[task](rng)
        while split_of(task, drawn.canonical) != "train":
            drawn = GENERATORS[task](rng)
        habits, broken = (CARELESS[task], BROKEN) if careless else (CAREFUL, 0.0)
        yield drawn.prompt, *_respond(task, drawn.prompt, drawn.gold, habits, broken, rng)
