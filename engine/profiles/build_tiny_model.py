"""Build the shipped model of the tiny world: a character-level Llama, taught by `engine.tasks.tiny_teacher`.

python -m engine.profiles.build_tiny_model [--seed S] [--out DIR]    train and save (minutes, on one core)
python -m engine.profiles.build_tiny_model --check [DIR]             measure the warm start
"""

import argparse
import itertools
import json
import math
import random
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.tasks.interface import Grade
from engine.tasks.tiny import MAX_LENGTH
from engine.tasks.tiny_teacher import taught

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

CHARACTERS = "0123456789+-*%=,#:sh"
SPECIAL = ("<pad>", "<eos>", "<unk>")


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
    """Endless (token ids, prompt length)."""
    for prompt, response, ends in taught(rng, careless):
        yield [ids[c] for c in prompt + response] + [ids["<eos>"]] * ends, len(prompt)


def train(seed: int, careful: int, careless: int, batch_size: int = 60, peak: float = 2e-3) -> "LlamaForCausalLM":
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
            [[-100] * head + tokens[head:] + [-100] * len(fill) for (tokens, head), fill in zip(rows, pad, strict=True)]
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
