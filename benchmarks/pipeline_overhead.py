"""What the pipeline costs: one update through our seam against TRL's own, side by side in one process.

    python -P -m benchmarks.pipeline_overhead run OUT.jsonl --scene tiny --rounds 100
    python -P -m benchmarks.pipeline_overhead run OUT.jsonl --scene bare --rounds 200
    python -P -m benchmarks.pipeline_overhead run OUT.jsonl --scene 135m --rounds 24
    python -P -m benchmarks.pipeline_overhead table OUT.jsonl

A round is one generation batch: each variant makes the updates of one batch (two), in an order that rotates. A batch is
generated and graded once by the real trainer and then replayed: TRL's generation, grading and reference passes are in
no variant's time; everything the pipeline adds anywhere is (rollout stages, shipped tensors, loss, figures of an
update). An update is Trainer's: forward, loss, backward, clipping, optimizer, schedule, log. TRL and the empty
algorithm must have equal losses to the last bit, or the run stops.

`tiny` is the profile's own model, batch and settings; `135m` has SmolLM2-135M's shape and random weights, and 8 rows of
32 + 64 tokens an update. `bare` is `tiny` without its model's forward and backward: what is left is the seam, TRL's or
ours, in milliseconds. One torch thread, CPU time of the process, and wall time beside it.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import psutil
import torch
from datasets import Dataset
from scipy import stats
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PrinterCallback, set_seed
from trl import GRPOTrainer

from engine.algorithms.catalogue import catalogue
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm
from engine.profiles.load_model import load_base
from engine.profiles.schema import load_profile
from engine.tasks.grader_client import GraderClient, GraderProcess, Item
from engine.tasks.interface import Grade
from engine.training.run import grpo_config, lora_config, narrow_logprob_tile
from engine.training.trainer import PoiseTrainer

SEED = 20260
TRL, EMPTY, THREE = "TRL", "empty algorithm", "three mechanisms"
MECHANISMS = ("TokenMean", "ClipHigher", "DropUniform")
"""DAPO: a mechanism on a batch of rollouts and two in the loss."""
STEP = 1e-6
"""Learning rate: the replayed batch stays close to the policy, however many rounds there are."""
SMOLLM2_135M = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
    "max_position_embeddings": 8192,
}


ANY_WEIGHTS = {"correct": 1.0, "format": 0.3}


class AnyGrader:
    """Grades of a random model's text: random too."""

    def grade(self, items: Sequence[Item]) -> list[Grade]:
        """As the protocol of the trainer says."""
        drawn = random.Random(SEED)
        rows = [(drawn.random() < 0.4, drawn.random()) for _ in items]
        return [Grade({"correct": float(c), "format": f}, valid=True, correct=c) for c, f in rows]


@contextmanager
def scene(name: str) -> Iterator[tuple[dict[str, Any], Any, list[Any], dict[str, float]]]:
    """Profile, grader, training prompts and part weights of a scene."""
    profile = copy.deepcopy(load_profile("tiny").resolved())
    profile["train"]["learning_rate"] = STEP
    if name != "135m":
        with GraderProcess() as process:
            client = GraderClient(process.connect("tiny", profile["tasks"]["options"], SEED).detach())
            yield (profile, client, *client.prompts())
    else:
        profile["train"] |= {"prompts_per_batch": 2, "group_size": 8, "max_completion_length": 64}
        prompts = [{"id": str(i), "task": "any", "prompt": f"{i:032d}"} for i in range(8)]
        yield profile, AnyGrader(), prompts, ANY_WEIGHTS


def base_model(name: str, profile: dict[str, Any]) -> PreTrainedModel:
    """The scene's model, always with the same weights."""
    set_seed(SEED)
    tiny, tokenizer = load_base(profile["model"])
    if name != "135m":
        return tiny
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    make: Any = LlamaForCausalLM
    model: PreTrainedModel = make(LlamaConfig(**SMOLLM2_135M, **ids))
    return model


def algorithms() -> dict[str, Algorithm]:
    """Ours, by variant."""
    library = {n: importlib.import_module(f"engine.algorithms.library.{catalogue()[n].module}") for n in MECHANISMS}
    mechanisms = tuple(getattr(module, name)() for name, module in library.items())
    return {EMPTY: Algorithm("GRPO"), THREE: Algorithm("DAPO", mechanisms)}


def run(name: str, rounds: int, out: Path) -> None:
    """Measure a scene; a line a round and variant."""
    torch.set_num_threads(1)
    with scene(name) as (profile, grader, prompts, weights), tempfile.TemporaryDirectory() as folder:
        trainers: dict[str, Any] = {}
        for variant in (TRL, EMPTY, THREE):
            model = base_model(name, profile)
            narrow_logprob_tile(model.config.vocab_size)
            shared: dict[str, Any] = {
                "model": model,
                "args": grpo_config(profile, SEED, Path(folder)),
                "train_dataset": Dataset.from_list(prompts),
                "processing_class": load_base(profile["model"])[1],
                "peft_config": lora_config(profile["model"]),
            }
            set_seed(SEED)  # of the adapter
            if variant == TRL:
                trainers[variant] = GRPOTrainer(reward_funcs=[_unused(n) for n in weights], **shared)
            else:
                ours = {"pipeline": Pipeline(algorithms()[variant], SEED), "grader": grader, "part_weights": weights}
                trainers[variant] = PoiseTrainer(**ours, **shared)
            trainers[variant].remove_callback(PrinterCallback)
            trainers[variant]._prepare_for_training(10**9, None, None)
            trainers[variant].current_gradient_accumulation_steps = 1
        generated = replay(trainers)
        if name == "bare":
            no_model(trainers, generated)
        measure(name, trainers, rounds, out)


def replay(trainers: dict[str, Any]) -> dict[str, Any]:
    """From now on TRL's generation gives every trainer the one batch that the real one gave the first of ours."""
    first = trainers[EMPTY]
    first.model.train()
    inputs = next(iter(first.get_train_dataloader()))
    generated = GRPOTrainer._generate_and_score_completions(first, inputs)

    def give(trainer: Any, inputs: Any) -> dict[str, Any]:
        trainer.batch = copy.copy(first.batch)
        return dict(generated)

    GRPOTrainer._generate_and_score_completions = give
    return generated


def no_model(trainers: dict[str, Any], generated: dict[str, Any]) -> None:
    """The loss gets the same log-probabilities for ever, instead of asking the model."""
    logp, factor = generated["old_per_token_logps"] * 1.01, torch.ones(1, requires_grad=True)

    def given(model: Any, ids: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor, None]:
        return logp[: len(ids)] * factor, -logp[: len(ids)] * factor, None

    for trainer in trainers.values():
        trainer._get_per_token_logps_and_entropies = given


def measure(name: str, trainers: dict[str, Any], rounds: int, out: Path) -> None:
    """Rounds of all variants in rotating order, after two to warm up."""
    names = list(trainers)
    for i in range(-2, rounds):
        losses = {}
        for variant in names[i % len(names) :] + names[: i % len(names)]:
            trainer = trainers[variant]
            torch.manual_seed(i + 2)  # the same shuffle for all
            cpu, wall = time.process_time(), time.perf_counter()
            losses[variant] = [update(trainer) for _ in range(trainer.args.steps_per_generation)]
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            if i >= 0:
                row = {"scene": name, "round": i, "variant": variant, "updates": len(losses[variant])}
                with out.open("a") as f:
                    f.write(json.dumps({**row, "cpu": cpu, "wall": wall, "load": psutil.getloadavg()[0]}) + "\n")
        if losses[TRL] != losses[EMPTY]:
            raise SystemExit(f"round {i}: the variants do not do the same work: losses {losses}")


def update(trainer: Any) -> float:
    """One optimizer update as Trainer's loop makes it; gives the loss."""
    loss = trainer.training_step(trainer.model_wrapped, {}, None).item()
    norm = trainer._get_grad_norm(trainer.model_wrapped, grad_norm=trainer._clip_grad_norm(trainer.model_wrapped))
    trainer.optimizer.step()
    trainer.lr_scheduler.step()
    trainer.model_wrapped.zero_grad()
    trainer.state.global_step += 1
    trainer.log({"loss": loss, "grad_norm": float(norm)})
    return float(loss)


def table(out: Path) -> str:
    """Markdown: medians an update, and the median of the rounds' ratios to TRL with its 95 % bootstrap interval."""
    found = [json.loads(line) for line in out.read_text().splitlines()]
    columns = ["scene", "variant", "rounds", "CPU ms an update", "ratio to TRL, CPU", "ratio to TRL, wall", "load"]
    text = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    for name in dict.fromkeys(row["scene"] for row in found):
        by = {
            v: {r["round"]: r for r in found if r["scene"] == name and r["variant"] == v} for v in (TRL, EMPTY, THREE)
        }
        for variant, rows in by.items():
            shared = sorted(rows.keys() & by[TRL].keys())
            milliseconds = statistics.median(1000 * rows[i]["cpu"] / rows[i]["updates"] for i in shared)
            ratios = [interval([rows[i][k] / by[TRL][i][k] for i in shared]) for k in ("cpu", "wall")]
            load = statistics.mean(rows[i]["load"] for i in shared)
            cells = [name, variant, str(len(shared)), f"{milliseconds:.1f}"]
            cells += ["1", "1"] if variant == TRL else ratios
            text += f"| {' | '.join([*cells, f'{load:.1f}'])} |\n"
    return text + f"\n{psutil.cpu_count()} cores, {platform.machine()}, torch {torch.__version__}\n"


def interval(ratios: list[float]) -> str:
    """Their median and its 95 % interval."""
    drawn = stats.bootstrap((ratios,), numpy.median, method="percentile", rng=numpy.random.default_rng(SEED))
    low, high = drawn.confidence_interval
    return f"{statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})"


def _unused(name: str) -> Any:
    def part(**_: Any) -> list[float]:
        raise RuntimeError("the batch is replayed")

    part.__name__ = name
    return part


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "table"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--scene", choices=("tiny", "bare", "135m"), default="tiny")
    parser.add_argument("--rounds", type=int, default=100)
    a = parser.parse_args()
    if a.command == "run":
        run(a.scene, a.rounds, a.out)
    print(table(a.out))


if __name__ == "__main__":
    main()
