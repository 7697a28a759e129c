"""What the engine's documents say, as parts of a snapshot; whatever has not the promised shape raises."""

import math
from collections.abc import Mapping
from sys import intern
from types import MappingProxyType

import orjson

from poise_tui.format import one_line
from poise_tui.snapshot import Candidate, Gain, Gpu, Json, Machine, Process, Trial


def candidate_of(document: Json, trials: tuple[Trial, ...] = ()) -> Candidate:
    """A candidate's document with its trainings."""
    cause, parent = document.get("cause"), document["parent"]
    last = next(reversed(document.get("rungs") or ()), None)
    fidelity = float(last["rung"]) if last else 1.0
    return Candidate(
        id=str(document["id"]),
        name=one_line(document["name"]),
        parent=None if parent is None else str(parent),
        status=str(document["status"]),
        cause=None if cause is None else one_line(cause),
        overall=score_of(document.get("overall")),
        pinned=bool(document.get("pinned")),
        packed=bytes(memoryview(orjson.dumps(document))),  # a copy: orjson's own keeps kilobytes of spare room
        trials=trials,
        gain=gain_of(document.get("gain")),
        fidelity=fidelity,
        updates=int(last["updates"]) if last and fidelity < 1 else None,
        seeds=tuple(float(score) for score in last["overalls"]) if last else (),
        verdict=one_line(confirmed["verdict"]) if (confirmed := document.get("confirmed")) else None,
        mechanisms=_mechanisms(document.get("proposal")),
        tasks=_tasks(document.get("benchmarks")),
        seconds=float((document.get("cost") or {}).get("train_seconds") or 0.0),
    )


def _mechanisms(proposal: Json | None) -> tuple[str, ...]:
    # Interned: a few names are shared by thousands of candidates.
    return tuple(intern(one_line(m["name"])) for m in (proposal or {}).get("mechanisms") or ())


def _tasks(benchmarks: Json | None) -> tuple[tuple[str, float], ...]:
    found = ((intern(one_line(task)), score_of(b.get("value"))) for task, b in (benchmarks or {}).items())
    return tuple((task, value) for task, value in found if value is not None)


def gain_of(found: Json | None) -> Gain | None:
    """The gain over the root, if it is known."""
    if found is None:
        return None
    return Gain(float(found["value"]), float(found["low"]), float(found["high"]), str(found["mark"]))


def limits_of(budget: Json) -> Mapping[str, float]:
    """The limits of a budget besides the candidates."""
    names = {"hours": "hours", "gpu_hours": "GPU hours", "usd": "usd"}
    found = {name: score_of(budget.get(key)) for key, name in names.items()}
    return MappingProxyType({name: value for name, value in found.items() if value is not None})


def score_of(value: object) -> float | None:
    """A finite number, else None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def plottable(value: object) -> float:
    """NaN, a gap in the curve, for what no chart can show."""
    return float(value) if isinstance(value, int | float) and abs(value) < 1e38 else math.nan


def machine_of(sample: Json) -> Machine:
    """A sample of telemetry."""
    cores = [float(c) for c in sample["cpu"]]
    return Machine(
        time=float(sample["time"]),
        cpu=sum(cores) / max(1, len(cores)),
        cores=len(cores),
        memory_used=float(sample["memory_used"]),
        memory_total=float(sample["memory_total"]),
        gpus=tuple(_gpu(gpu) for gpu in sample["gpus"]),
        each_core=tuple(cores),
        engine_memory=float(sample.get("engine_rss") or 0.0),
        processes=tuple(_process(process) for process in sample.get("processes") or ()),
    )


def _gpu(sample: Json) -> Gpu:
    load = (sample["util"], sample["mem_used"], sample["mem_total"], sample.get("power"), sample.get("temp"))
    return Gpu(int(sample["index"]), one_line(sample["name"]), *(score_of(value) for value in load))


def _process(sample: Json) -> Process:
    return Process(one_line(sample["trial"]), int(sample["pid"]), float(sample["cpu"]), float(sample["rss"]))
