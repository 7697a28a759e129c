"""Whether a profile fits this machine, what memory and time it will take, and what to change, for `poise doctor`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.archive.export import WHOLE, export_run
from engine.archive.folder import list_runs
from engine.errors import PoiseError
from engine.generation.choice import settled
from engine.loop.machine import device_name, gpu_names, this_machine
from engine.profiles.duration import ACHIEVED, CARDS, LENGTH, Rates, candidate_seconds
from engine.profiles.forecast import GIB, Machine, fitted, training_memory, trainings_at_once, update_rows, vllm_share
from engine.profiles.shapes import Shape, shape_of

RUNS_READ = 5
"""Newest runs that are looked at for a measured time."""
LONG_HOURS = 24.0
"""Of one candidate: beyond that a search takes weeks."""


def outlook(profile: dict[str, Any], tasks: Sequence[str], runs_dir: Path | None = None) -> dict[str, Any] | None:
    """The forecast of a profile.

    Args:
        profile: resolved.
        tasks: names of its tasks.
        runs_dir: where earlier runs of it may be; their times come before estimates.

    Returns:
        `{"machine": {"gpu", "memory"}, "here": CASE, "cards": [CASE], "rates": {"product", "memory", "source"},
        "assumption", "measured": {"seconds", "trainings", "run"} | None, "parameters", "advice": [str]}` with a CASE
        `{"name", "memory", "fits", "workers", "sampler", "micro_rows", "memory_share", "parts": {NAME: bytes}, "total",
        "usable", "seconds", "parts_seconds": {"generation", "training", "scoring"}}`; bytes and seconds. None where the
        model's shape is not known.
    """
    shape = shape_of(profile["model"])
    if shape is None:
        return None
    machine = this_machine()
    rates = measured_rates(int(profile["train"]["threads"]), bool(machine.gpu))
    here = _case(_here(profile, machine), tasks, shape, machine, rates)
    cards = [_case(_with_vllm(profile), tasks, shape, Machine(card.gib * GIB, card.name), card.rates) for card in CARDS]
    measured = measured_seconds(profile, runs_dir) if runs_dir else None
    return {
        "machine": {"gpu": machine.gpu, "memory": machine.memory},
        "parameters": shape.parameters,
        "here": here,
        "cards": cards,
        "rates": {"product": rates.product, "memory": rates.memory, "source": rates.source},
        "assumption": f"completions of {LENGTH:.0%} of what they may have, {ACHIEVED['product']:.0%} of the rate of "
        f"matrix products and {ACHIEVED['memory']:.0%} of memory's; good to a factor of two or three",
        "measured": measured,
        "advice": advice(profile, here, shape, measured),
    }


def _here(profile: dict[str, Any], machine: Machine) -> dict[str, Any]:
    """Settled as it would be; where vLLM is asked for and not there, as transformers would sample."""
    try:
        return settled(profile, bool(machine.gpu))
    except PoiseError:
        return {**profile, "generation": {**profile["generation"], "engine": "transformers"}}


def _with_vllm(profile: dict[str, Any]) -> dict[str, Any]:
    table = profile.get("generation")
    wants = table is not None and table["engine"] != "transformers"
    return {**profile, "generation": {**table, "engine": "vllm"}} if table and wants else profile


def _case(
    profile: dict[str, Any], tasks: Sequence[str], shape: Shape, machine: Machine, rates: Rates
) -> dict[str, Any]:
    made = fitted(profile, shape, machine)
    fits = trainings_at_once(made, shape, machine)
    # What does not fit is shown at its smallest: one row at a time.
    rows = made["train"].get("micro_rows") or (update_rows(made["train"]) if fits else 1)
    memory = training_memory(made, shape, machine, rows)
    duration = candidate_seconds(made, tasks, shape, machine, rates)
    return {
        "name": machine.gpu or "cpu",
        "memory": machine.memory,
        "fits": fits > 0,
        "workers": fits * (len(gpu_names()) or 1 if machine.gpu == device_name() else 1),
        "sampler": "vllm" if vllm_share(made, machine) else "transformers",
        "micro_rows": rows,
        "memory_share": vllm_share(made, machine) or None,
        "parts": memory.parts(),
        "total": memory.total,
        "usable": machine.usable,
        "seconds": duration.total,
        "parts_seconds": {
            "generation": duration.generation,
            "training": duration.training,
            "scoring": duration.scoring,
        },
    }


def advice(
    profile: Mapping[str, Any], here: Mapping[str, Any], shape: Shape, measured: Mapping[str, Any] | None
) -> list[str]:
    """What to change, most important first; nothing where all is well."""
    train, said = profile["train"], []
    wants_vllm = (profile.get("generation") or {}).get("engine") == "vllm"
    if not here["fits"] or (wants_vllm and here["sampler"] != "vllm"):
        if here["name"] == "cpu":
            said.append("run it on a machine with an NVIDIA GPU; the cards below say which")
        elif wants_vllm and here["sampler"] != "vllm":
            said.append("install vLLM beside this program: pip install 'poise-tui[vllm]'")
        elif not train.get("gradient_checkpointing"):
            said.append("set train.gradient_checkpointing = true: a small part of the memory, a third more time")
        else:
            said.append("shorten train.max_completion_length, or take a larger card")
    hours = (measured["seconds"] if measured else here["seconds"]) / 3600
    if here["fits"] and hours > LONG_HOURS and train["prompts_per_batch"] > 8:
        fewer = max(8, train["prompts_per_batch"] // 8)
        said.append(
            f"{hours:,.0f} hours a candidate make a search of weeks: in a copy of the profile, train.prompts_per_batch "
            f"= {fewer} takes about {fewer / train['prompts_per_batch']:.0%} of that"
        )
    longest = int(train.get("max_prompt_length") or 0) + int(train["max_completion_length"])
    if longest > shape.positions:
        said.append(f"prompt and completion may have {longest} tokens, the model has learnt {shape.positions}")
    return said


def measured_seconds(profile: Mapping[str, Any], runs_dir: Path) -> dict[str, Any] | None:
    """The median of whole trainings with their scoring, from the newest run of this profile on this kind of device that
    has one: `{"seconds", "trainings", "run"}`.
    """
    for folder in list_runs(runs_dir)[:RUNS_READ]:
        try:
            run = export_run(folder)
        except (PoiseError, OSError, ValueError, KeyError):
            continue  # another command's finding: `poise doctor RUN`
        costs = [t["cost"] for t in run["trials"] if t["status"] == "scored" and t["rung"] == WHOLE]
        # What was taken over from an earlier run cost nothing here.
        costs = [c for c in costs if c["train_seconds"] and bool(c["gpu_seconds"]) == bool(gpu_names())]
        if run["run"]["profile"] == profile["name"] and costs:
            seconds = statistics.median(c["train_seconds"] + c["score_seconds"] for c in costs)
            return {"seconds": seconds, "trainings": len(costs), "run": folder.id}
    return None


def measured_rates(threads: int, gpu: bool) -> Rates:
    """Of this machine, now: the best of a few matrix products and copies. Takes half a second.

    Args:
        threads: of torch, on a CPU.
    """
    import torch

    device, size, kind = ("cuda", 8192, torch.bfloat16) if gpu else ("cpu", 1024, torch.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    a, b = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    block, target = (torch.ones(1 << (28 if gpu else 24), dtype=torch.float32, device=device) for _ in range(2))

    def best(work: Callable[[], object]) -> float:
        times = []
        for _ in range(5):
            _finish(gpu)
            start = time.perf_counter()
            work()
            _finish(gpu)
            times.append(time.perf_counter() - start)
        return min(times)

    with torch.inference_mode():
        product, copy = best(lambda: a @ b), best(lambda: target.copy_(block))
    torch.set_num_threads(before)
    source = f"measured here, {device_name()}" + ("" if gpu else f", {threads} threads")
    return Rates(2 * size**3 / product, 2 * block.nbytes / copy, source)


def _finish(gpu: bool) -> None:
    if gpu:
        import torch

        torch.cuda.synchronize()
