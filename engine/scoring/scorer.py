"""The `score` job: base model + adapter on held-out problems.

It never imports the candidate's code, reads of its files only the adapter's weights (`engine.scoring.adapter`), and
finds the base as it was when the run began, before and after.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.archive.files import folder_sha256
from engine.errors import PoiseError
from engine.generation.choice import uses_vllm
from engine.profiles.load_model import load_base, model_dir
from engine.scoring.adapter import merge_adapter
from engine.scoring.estimators import mean_and_interval, overall, overall_standard_error, problem_values
from engine.scoring.held_out import held_out
from engine.scoring.responses import response_figures
from engine.scoring.sampling import sample
from engine.tasks import load_taskset
from engine.tasks.interface import of_task

Draw = Callable[[Sequence[str], int, int, float, str], list[list[tuple[str, bool]]]]
"""Prompts, samples of each, most tokens, temperature, seed -> for each prompt its samples: (text, truncated)."""


def run_job(job: Mapping[str, Any]) -> dict[str, Any]:
    """Score one model; the same seed and number of threads give the same scores.

    Args:
        job: "adapter" (folder of a LoRA adapter, or null for the base alone), "split", "score_seed", "base_sha256"
            (of the model's folder, where it is known), "grader_fd" (where the tasks are graded outside, see
            `engine.scoring.held_out`), and "profile" with its tables "model", "tasks" ("name",
            "options") and "score" ("problems", "samples", "temperature": a number, or a table by task, 0 is greedy;
            "k", "max_completion_length", "batch_size", "threads").

    Returns:
        `{"overall": 0-100, "standard_error": of it, "benchmarks": {task: {"metric", "value", "n", "ci"}}, "outcomes":
        {task: [[0/1]]}, "responses": see `engine.scoring.responses`, "seconds"}`; "n" is the
        number of problems.

    Raises:
        PoiseError: the model, the adapter or the tasks do not load, the base has changed, or a figure of the profile
            is unusable.
    """
    if job.get("gpu") is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(job["gpu"])  # in time: nothing has touched CUDA in this process
    import torch

    start = time.monotonic()
    profile = job["profile"]
    score = profile["score"]
    torch.set_num_threads(int(score["threads"]))
    tasks = load_taskset(profile["tasks"]["name"], profile["tasks"].get("options"))
    base = folder_sha256(model_dir(profile["model"]))
    _same_base(job.get("base_sha256") or base, base, "the run began")
    model, tokenizer = load_base(profile["model"])
    if job["adapter"] is not None:
        model = merge_adapter(model, Path(job["adapter"]), profile["model"])
    source = held_out(job, tasks)
    asked = {task: source.problems(task) for task in tasks.names}
    draw = _sampler(profile, model, tokenizer, [problem.prompt for task in tasks.names for problem in asked[task]])
    outcomes: dict[str, list[list[int]]] = {}
    ks: dict[str, int] = {}
    said: list[tuple[str, bool]] = []
    valid = 0
    benchmarks: dict[str, dict[str, Any]] = {}
    for task in tasks.names:
        samples, k = of_task(score["samples"], task), score["k"] if task in tasks.hard else 1
        if not 1 <= k <= samples:
            raise PoiseError(f"pass@{k} of task {task!r} needs at least {k} samples, not {samples}: change [score]")
        groups = draw(
            [problem.prompt for problem in asked[task]],
            samples,
            score["max_completion_length"],
            of_task(score["temperature"], task),
            f"{task}:{job['score_seed']}",
        )
        grades = source.grade(asked[task], groups)
        outcomes[task] = [[int(grade.correct) for grade in row] for row in grades]
        ks[task] = k
        valid += sum(grade.valid for row in grades for grade in row)
        said += [response for group in groups for response in group]
        value, interval = mean_and_interval(problem_values(outcomes[task], k))
        average = "acc@1" if samples == 1 else f"avg@{samples}"
        metric = f"pass@{k}" if task in tasks.hard else average
        benchmarks[task] = {"metric": metric, "value": value, "n": len(asked[task]), "ci": list(interval)}
    _same_base(base, folder_sha256(model_dir(profile["model"])), "this scoring began")
    tokens = tokenizer([text for text, _ in said], add_special_tokens=False)["input_ids"]
    return {
        "overall": overall({task: row["value"] for task, row in benchmarks.items()}, tasks.weights),
        "standard_error": overall_standard_error(outcomes, ks, tasks.weights),
        "benchmarks": benchmarks,
        "outcomes": outcomes,
        "responses": response_figures(said, [len(ids) for ids in tokens], valid),
        "seconds": time.monotonic() - start,
    }


def _sampler(profile: Mapping[str, Any], model: Any, tokenizer: Any, prompts: Sequence[str]) -> Draw:
    """Who samples: vLLM where the run was begun with it, else transformers, on the GPU where there is one.

    Args:
        prompts: all that will be asked.
    """
    import torch

    score = profile["score"]
    if not uses_vllm(profile):
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        return lambda prompts, samples, most, temperature, seed: sample(
            model, tokenizer, prompts, samples, most, temperature, score["batch_size"], seed
        )
    from engine.scoring.sampling_vllm import VllmSampler

    longest = max(len(ids) for ids in tokenizer(list(prompts))["input_ids"]) + score["max_completion_length"]
    share = profile["generation"]["memory_share"]
    return VllmSampler(model, tokenizer, model_dir(profile["model"]), share, longest).sample


def _same_base(wanted: str, found: str, when: str) -> None:
    if found != wanted:
        raise PoiseError(f"the base model's files are not what they were when {when}: nothing is scored with them")
