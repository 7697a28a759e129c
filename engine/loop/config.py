"""From a request to a run: everything resolved, checked and written to run.toml, so that the run can be repeated."""

from __future__ import annotations

import os
import secrets
import time
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomli_w

from engine.algorithms.lint import read_source
from engine.archive.files import write_atomic
from engine.archive.folder import RunFolder, create_run, find_run
from engine.archive.formats import FORMAT, require_format
from engine.errors import Exit, PoiseError
from engine.generation.choice import settled
from engine.loop.confinement import floor_of
from engine.loop.machine import device_name, gpu_names
from engine.loop.prior import check_earlier, read_earlier
from engine.loop.protocol import protocol_hash
from engine.profiles.load_model import model_dir
from engine.profiles.schema import load_profile
from engine.sandbox.layers import DEFAULT_FLOOR, check_floor
from engine.sandbox.probe import available, hints
from engine.search.answers import BadAnswer, read_algorithm
from engine.search.models import COMPOSER, parse_models
from engine.tasks import check_taskset


@dataclass(frozen=True)
class RunConfig:
    """What run.toml holds.

    Attributes:
        profile: the resolved profile, with its tables.
        lag: see `engine.loop.settled`.
        candidates: nodes besides the root.
        workers: trainings side by side.
        llm: who proposes, see `engine.search.models`.
        root: an algorithm file that stands in the place of GRPO, or "".
        hours, usd, gpu_hours: budgets; 0 means none.
        sandbox_floor: the least that must hold candidate code, see `engine.sandbox.layers.FLOORS`.
        notes: folder of the user's own notes, or "".
        controls: candidates of the control arm, besides `candidates`.
        prior: folder of the run that this one starts from, or ""; see `engine.loop.prior`.
        format: of the run's folder, see `engine.archive.formats`.
    """

    id: str
    created: float
    seed: int
    candidates: int
    workers: int
    lag: int
    llm: str
    directive: str
    root: str
    hours: float
    usd: float
    profile: dict[str, Any]
    gpu_hours: float = 0.0
    sandbox_floor: str = DEFAULT_FLOOR
    notes: str = ""
    controls: int = 0
    prior: str = ""
    format: int = 1


def new_run(request: dict[str, Any]) -> tuple[RunFolder, RunConfig]:
    """Resolve a request, create the run's folder and write its run.toml.

    Raises:
        PoiseError: an unknown profile, a bad value, a model or tasks that are not there, an unusable folder, a run
            that exists.
    """
    profile = settled(load_profile(request.get("profile") or "tiny").resolved(), bool(gpu_names()))
    search = profile["search"]
    now = time.time()
    seed, prior = _seed(request, profile)
    config = RunConfig(
        id=request.get("name") or _fresh_id(profile["name"], now),
        created=now,
        seed=seed,
        candidates=_positive("candidates", request.get("candidates"), search["candidates"]),
        workers=_positive("workers", request.get("workers"), len(gpu_names()) or os.cpu_count() or 1),
        lag=search["lag"],
        llm=parse_models(request.get("llm") or COMPOSER).spec,
        directive=request.get("directive") or "",
        root=_root_file(request.get("root")),
        hours=float(request.get("hours") or 0.0),
        usd=float(request.get("usd") or 0.0),
        profile=profile,
        sandbox_floor=floor_of(request),
        gpu_hours=gpu_hours_limit(request.get("gpu_hours")),
        notes=_notes(request.get("notes")),
        controls=int(request.get("controls") or 0),
        prior=prior,
        format=FORMAT,
    )
    # What the run will need is looked for now, while nothing is there to clean up.
    model_dir(profile["model"])
    check_taskset(profile["tasks"]["name"], profile["tasks"]["options"])
    check_floor(available(), config.sandbox_floor, hints())
    folder = create_run(Path(request["runs_dir"]), config.id)
    write_config(folder, config)
    return folder, config


def read_config(folder: RunFolder) -> RunConfig:
    """The configuration of a run that exists.

    Raises:
        PoiseError: run.toml is missing or damaged, or of a newer version.
    """
    require_format(folder.path)
    try:
        return RunConfig(**tomllib.loads(folder.config.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise PoiseError(f"{folder.config} is missing: this is not a run's folder", Exit.NOT_FOUND) from None
    except (tomllib.TOMLDecodeError, TypeError, UnicodeDecodeError) as e:
        raise PoiseError(f"{folder.config} is damaged ({e})") from None


def write_config(folder: RunFolder, config: RunConfig) -> None:
    """Write run.toml, whole or not at all."""
    write_atomic(folder.config, tomli_w.dumps(asdict(config)).encode())


def budget_of(config: RunConfig) -> dict[str, Any]:
    """The budget of a new run's document: None for no limit."""
    limits = {name: getattr(config, name) or None for name in ("hours", "gpu_hours", "usd")}
    return {"candidates": config.candidates, **limits}


def job_limits(profile: dict[str, Any], kind: str) -> dict[str, Any]:
    """What a job of this kind may use, see `engine.process.limits.Limits`; address space is unlimited on a GPU."""
    limits = profile["limits"]
    return {
        "wall_seconds": limits[f"{kind}_seconds"],
        "memory_mb": None if gpu_names() else limits["memory_mb"],
        "file_mb": limits["file_mb"],
        "folder_mb": limits["folder_mb"],
        "folder_files": limits["folder_files"],
        "files": limits["files"],
    }


def gpu_hours_limit(hours: float | None) -> float:
    """A budget of GPU hours; 0 is none.

    Raises:
        PoiseError: wrong usage (2): there is no GPU whose hours could be counted.
    """
    if hours and not gpu_names():
        raise PoiseError(
            f"--gpu-hours {hours:g}: this machine has no NVIDIA GPU, so none would ever be counted; use --hours",
            Exit.USAGE,
        )
    return float(hours or 0.0)


def _seed(request: dict[str, Any], profile: dict[str, Any]) -> tuple[int, str]:
    """The seed of a run, and the folder of the one it starts from, which must fit."""
    wanted = None if request.get("seed") is None else int(request["seed"])
    if not request.get("from"):
        return wanted or 0, ""
    path = Path(request["from"])
    folder = find_run(str(path), path.parent)
    old = read_config(folder)
    protocol = protocol_hash(profile, model_dir(profile["model"]), device_name())
    root = [m.document() for m in read_algorithm(read_source(Path(request["root"])))[1]] if request.get("root") else []
    earlier = read_earlier(folder, asdict(old))
    return check_earlier(earlier, old.profile, profile, protocol, root, wanted), str(folder.path.resolve())


def _fresh_id(profile: str, now: float) -> str:
    return f"{profile}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{secrets.token_hex(2)}"


def _positive(name: str, value: Any, default: int) -> int:
    number = default if value is None else int(value)
    if number < 1:
        raise PoiseError(f"{name} is {number}: give a whole number of at least 1", Exit.USAGE)
    return number


def _notes(path: str | None) -> str:
    if not path:
        return ""
    if not Path(path).is_dir():
        raise PoiseError(f"--notes {path}: no such folder", Exit.USAGE)
    return str(Path(path).resolve())


def _root_file(path: str | None) -> str:
    if not path:
        return ""
    source = read_source(Path(path))
    try:
        read_algorithm(source)
    except BadAnswer as e:
        raise PoiseError(f"{path}: {e.problems[0]}", Exit.USAGE) from None
    return str(Path(path).resolve())
