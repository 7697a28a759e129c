"""The `score` job: base model + adapter on held-out problems. It never sees the candidate's code."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import PoiseError
from engine.scoring.estimators import mean_and_interval, overall, problem_values
from engine.scoring.sampling import sample

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_WEIGHT_SUFFIXES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npz", ".npy", ".h5", ".msgpack"}


def run_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Score one model; the same seed and number of threads give the same scores.

    Args:
        job: "adapter" (folder of a LoRA adapter, or null for the base alone), "split", "score_seed", and
            "profile" with its tables "model" ("name"), "tasks" ("name", "options") and "score" ("problems",
            "samples": a number, or a table by task; "k", "temperature", "max_completion_length",
            "batch_size", "threads").

    Returns:
        `{"overall": 0-100, "benchmarks": {task: {"metric", "value", "n", "ci"}}, "outcomes": {task: [[0/1]]},
        "seconds"}`; "n" is the number of problems.

    Raises:
        PoiseError: the model, the adapter or the tasks do not load, or a figure of the profile is unusable.
    """
    import torch

    from engine.profiles.load_model import load_base
    from engine.tasks import load_taskset

    start = time.monotonic()
    profile = job["profile"]
    score = profile["score"]
    torch.set_num_threads(int(score["threads"]))
    tasks = load_taskset(profile["tasks"]["name"], profile["tasks"].get("options"))
    model, tokenizer = load_base(profile["model"])
    if job["adapter"] is not None:
        model = merge_adapter(model, Path(job["adapter"]))
    outcomes: dict[str, list[list[int]]] = {}
    benchmarks: dict[str, dict[str, Any]] = {}
    for task in tasks.names:
        samples, k = _of(score["samples"], task), score["k"] if task in tasks.hard else 1
        if not 1 <= k <= samples:
            raise PoiseError(
                f"pass@{k} of task {task!r} needs at least {k} samples, not {samples}: change [score]"
            )
        questions = tasks.problems(job["split"], task, _of(score["problems"], task), job["score_seed"])
        groups = sample(
            model,
            tokenizer,
            [question.prompt for question in questions],
            samples,
            score["max_completion_length"],
            score["temperature"],
            score["batch_size"],
            f"{task}:{job['score_seed']}",
        )
        outcomes[task] = [
            [int(tasks.grade(question, text, cut).correct) for text, cut in group]
            for question, group in zip(questions, groups, strict=True)
        ]
        value, interval = mean_and_interval(problem_values(outcomes[task], k))
        metric = f"pass@{k}" if task in tasks.hard else f"avg@{samples}"
        benchmarks[task] = {"metric": metric, "value": value, "n": len(questions), "ci": list(interval)}
    return {
        "overall": overall({task: row["value"] for task, row in benchmarks.items()}, tasks.weights),
        "benchmarks": benchmarks,
        "outcomes": outcomes,
        "seconds": time.monotonic() - start,
    }


def _of(figure: int | Mapping[str, int], task: str) -> int:
    """A figure of the profile: one number for all tasks, or a table by task."""
    return figure if isinstance(figure, int) else figure[task]


def merge_adapter(model: "PreTrainedModel", folder: Path) -> "PreTrainedModel":
    """The base with a LoRA adapter merged into its weights (generation is then as fast as the base's).

    Raises:
        PoiseError: the folder holds weights in another format than safetensors (such files may run code), or
            the adapter is broken, not LoRA, or made for another model.
    """
    import json

    from peft import PeftModel
    from safetensors import SafetensorError

    if not (folder / "adapter_model.safetensors").is_file():
        raise PoiseError(f"no adapter_model.safetensors in {folder}: only safetensors adapters are scored")
    for path in sorted(folder.rglob("*")):
        if path.suffix in _WEIGHT_SUFFIXES:
            raise PoiseError(
                f"{path} is not safetensors: such weights may run code, remove it and score again"
            )
    try:
        kind = json.loads((folder / "adapter_config.json").read_text())["peft_type"]
        if kind != "LORA":
            raise PoiseError(f"the adapter in {folder} is {kind!r}, not LoRA: only LoRA adapters are scored")
        merged: PreTrainedModel = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PoiseError(f"the adapter in {folder} does not load: {reason}") from error
    merged.train(False)
    return merged
