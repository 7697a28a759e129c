"""Build the shipped model of the tiny world: a character-level Llama, taught by a careless teacher.

    python -m engine.profiles.build_tiny_model [--seed S] [--out DIR]    train and save (minutes, on one core)
    python -m engine.profiles.build_tiny_model --check [DIR]             measure the warm start

The teacher first shows how to solve the tasks, then (`CARELESS`) all habits that reinforcement can
strengthen or weaken: it answers at once (short, mostly wrong, often by a typical slip), or shows its work
(longer, more often right), or breaks the format, or rambles past the length limit. It uses training
problems only.
"""

import argparse
import itertools
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.tasks.interface import Grade
from engine.tasks.splits import split_of
from engine.tasks.tiny import GENERATORS, HOPS, MAX_LENGTH

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

CHARACTERS = "0123456789+-*%=,#:sh"
SPECIAL = ("<pad>", "<eos>", "<unk>")


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


def _respond(
    task: str, prompt: str, gold: str, habits: Habits, broken: float, rng: random.Random
) -> tuple[str, bool]:
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


def make_tokenizer() -> "PreTrainedTokenizerFast":
    """One token a character; `<eos>` ends a response, `<pad>` fills up on the left."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *CHARACTERS])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    core.decoder = decoders.Fuse()
    make: Any = PreTrainedTokenizerFast
    tokenizer: PreTrainedTokenizerFast = make(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        model_max_length=64,
        clean_up_tokenization_spaces=False,
    )
    return tokenizer


def lessons(rng: random.Random, ids: Mapping[str, int], careless: bool) -> Iterator[tuple[list[int], int]]:
    """Endless (token ids, prompt length), the tasks in turn, training problems only."""
    for task in itertools.cycle(GENERATORS):
        drawn = GENERATORS[task](rng)
        while split_of(task, drawn.canonical) != "train":
            drawn = GENERATORS[task](rng)
        habits, broken = (CARELESS[task], BROKEN) if careless else (CAREFUL, 0.0)
        response, ends = _respond(task, drawn.prompt, drawn.gold, habits, broken, rng)
        tokens = [ids[c] for c in drawn.prompt + response] + [ids["<eos>"]] * ends
        yield tokens, len(drawn.prompt)


def train(
    seed: int, careful: int, careless: int, batch_size: int = 60, peak: float = 2e-3
) -> "LlamaForCausalLM":
    """Supervised training on one core, first by the careful teacher, then by the careless one.

    Args:
        careful: updates of the first lessons.
        careless: updates of the last lessons.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    ids = tokenizer.get_vocab()
    config = LlamaConfig(
        vocab_size=len(ids),
        hidden_size=128,
        intermediate_size=320,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    make: Any = LlamaForCausalLM
    model: LlamaForCausalLM = make(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=0.01)
    rng = random.Random(f"teacher:{seed}")
    both = [lessons(rng, ids, False), lessons(rng, ids, True)]
    steps = careful + careless
    for step in range(steps):
        rows = list(itertools.islice(both[step >= careful], batch_size))
        width = max(len(tokens) for tokens, _ in rows)
        pad = [[0] * (width - len(tokens)) for tokens, _ in rows]
        inputs = torch.tensor([tokens + fill for (tokens, _), fill in zip(rows, pad, strict=True)])
        # Only the response is learned; -100 is ignored. Right padding needs no mask: attention is causal.
        labels = torch.tensor(
            [
                [-100] * head + tokens[head:] + [-100] * len(fill)
                for (tokens, head), fill in zip(rows, pad, strict=True)
            ]
        )
        decay = 0.02 + 0.49 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = peak * min((step + 1) / 50, 1.0) * decay
        loss = model(input_ids=inputs, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step} loss {loss.item():.3f}", file=sys.stderr, flush=True)
    return model


def save(model: "LlamaForCausalLM", out: Path) -> None:
    """Weights, configuration and tokenizer, ready for `AutoModelForCausalLM.from_pretrained(out)`."""
    out.mkdir(parents=True, exist_ok=True)
    model.generation_config.bos_token_id = None
    model.save_pretrained(out)
    make_tokenizer().save_pretrained(out)


def check(folder: Path, problems: int = 100, seed: int = 0) -> dict[str, dict[str, Any]]:
    """The warm start, measured at temperature 1 with groups of 8 on development problems: a row a task."""
    import torch

    from engine.profiles.load_model import load_base
    from engine.scoring.sampling import sample
    from engine.tasks import load_taskset

    torch.set_num_threads(1)
    model, tokenizer = load_base({"name": str(folder)})
    tasks = load_taskset("tiny")
    table: dict[str, dict[str, Any]] = {}
    everything: list[list[Response]] = []
    for task in tasks.names:
        questions = tasks.problems("development", task, problems, seed)
        groups = sample(model, tokenizer, [q.prompt for q in questions], 8, MAX_LENGTH, 1.0, 800, f"{task}:{seed}")
        graded = [
            [Response(text, cut, tasks.grade(question, text, cut)) for text, cut in group]
            for question, group in zip(questions, groups, strict=True)
        ]
        table[task] = _row(graded)
        everything += graded
    return {**table, "all": _row(everything)}


@dataclass(frozen=True)
class Response:
    """One sampled response and its grade."""

    text: str
    truncated: bool
    grade: Grade


def _percent(flags: Iterable[bool]) -> float:
    marks = list(flags)
    return 100 * sum(marks) / len(marks) if marks else 0.0


def _row(groups: Sequence[Sequence[Response]]) -> dict[str, Any]:
    import numpy

    flat = [response for group in groups for response in group]
    lengths = [len(response.text) + (not response.truncated) for response in flat]
    passes = [sum(response.grade.correct for response in group) for group in groups]
    direct = [response for response in flat if response.grade.valid and response.text.startswith("#")]
    worked = [response for response in flat if response.grade.valid and not response.text.startswith("#")]
    return {
        "accuracy": _percent(response.grade.correct for response in flat),
        "invalid": _percent(not response.grade.valid for response in flat),
        "truncated": _percent(response.truncated for response in flat),
        "direct": 100 * len(direct) / len(flat),
        "right if direct": _percent(response.grade.correct for response in direct),
        "right if worked": _percent(response.grade.correct for response in worked),
        "length": float(numpy.mean(lengths)),
        "length 5/50/95": [int(point) for point in numpy.percentile(lengths, [5, 50, 95])],
        "all fail": _percent(count == 0 for count in passes),
        "mixed": _percent(0 < count < 8 for count in passes),
        "all pass": _percent(count == 8 for count in passes),
    }


def _print(table: Mapping[str, Mapping[str, Any]]) -> None:
    columns = list(next(iter(table.values())))
    print("| task | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    for task, row in table.items():
        cells = [f"{v:.1f}" if isinstance(v, float) else "/".join(map(str, v)) for v in row.values()]
        print(f"| {task} | " + " | ".join(cells) + " |")


def main() -> None:
    """Command line; see the head of this file."""
    here = Path(__file__).parent / "tiny_model"
    parser = argparse.ArgumentParser(description="Build or check the shipped tiny model.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--careful", type=int, default=2200, help="updates taught by the careful teacher")
    parser.add_argument("--careless", type=int, default=500, help="updates taught by the careless teacher")
    parser.add_argument("--out", type=Path, default=here)
    parser.add_argument("--check", type=Path, nargs="?", const=here)
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    arguments = parser.parse_args()
    if not arguments.check:
        start = time.monotonic()
        save(train(arguments.seed, arguments.careful, arguments.careless), arguments.out)
        print(f"trained in {time.monotonic() - start:.0f} s", file=sys.stderr)
    table = check(arguments.check or arguments.out)
    if arguments.json:
        print(json.dumps(table))
    else:
        _print(table)


if __name__ == "__main__":
    main()
