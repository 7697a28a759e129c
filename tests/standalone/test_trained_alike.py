"""What `poise export --format trl` writes trains in plain TRL to the same weights, to the last bit, as our trainer."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from engine.algorithms.catalogue import catalogue
from engine.algorithms.loader import load_algorithm
from engine.algorithms.pipeline import Pipeline
from engine.algorithms.render import render
from engine.profiles.schema import load_profile
from engine.standalone.assemble import ROOT, standalone
from engine.tasks.interface import Grade
from engine.training.trainer import PoiseTrainer
from tests.training import toy

UPDATES = 6


RANDOM = '''"""Drops tokens at random."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch

SHARE = 0.5


class RandomTokens(Mechanism):
    """Half of the tokens carry the loss."""

    local = True

    def weights(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        drawn = torch.rand(m.mask.shape, generator=m.generator) < SHARE
        return inner(per_token) * drawn.to(m.mask.device)


algorithm = Algorithm(name="random-tokens", mechanisms=(RandomTokens(),))
'''


@dataclass(frozen=True)
class Case:
    """One algorithm: mechanisms of the library with constants of theirs, or a file."""

    name: str
    mechanisms: dict[str, dict[str, float]] = field(default_factory=dict)
    file: str = ""

    def source(self) -> str:
        if self.file:
            return self.file
        return render(self.name, "A test.", [catalogue()[m].choice(**p) for m, p in self.mechanisms.items()])


CASES = (
    Case("GRPO", file=ROOT),
    Case("Rollout stages", {"MinMaxLength": {}, "BatchStd": {}, "DropUniform": {}}),
    Case("Loss stages", {"SoftGate": {}, "TokenMean": {}, "KlScale": {}}),
    Case("Controller", {"AdaptiveEntropy": {"target": 3.08, "step": 0.005}}),
    Case("Needs entropy", {next(n for n, e in catalogue().items() if "needs_entropy" in e.source): {}}),
    Case("Whole groups", {"GroupRegression": {}}),
    Case("Own generator", file=RANDOM),
)
IDS = [case.name for case in CASES]


def reward_functions() -> list[Any]:
    """The toy grader's parts, and its correct and valid, as reward functions."""

    def graded(completions: list[str]) -> list[Grade]:
        return toy.ToyGrader().grade([{"id": "", "completion": c, "truncated": False} for c in completions])

    def right(completions: list[str], **_: Any) -> list[float]:
        return [float(g.correct) for g in graded(completions)]

    def readable(completions: list[str], **_: Any) -> list[float]:
        return [float(g.valid) for g in graded(completions)]

    return [*toy.reward_functions(), right, readable]


def exported(case: Case, folder: Path) -> ModuleType:
    """The exported file, imported as a user's module."""
    path = folder / f"exported_{IDS.index(case.name)}.py"
    path.write_text(standalone(case.source(), load_profile("tiny").resolved()))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def world() -> dict[str, Any]:
    return {"train_dataset": toy.dataset(), "processing_class": toy.tokenizer(), "peft_config": toy.lora()}


def plain(case: Case, folder: Path, **changes: Any) -> Any:
    """The exported trainer, ready to run."""
    module = exported(case, folder)
    made = next(v for k, v in vars(module).items() if k.endswith("Trainer") and v.__module__ == module.__name__)
    args = toy.config(folder, **{"max_steps": UPDATES, **changes})
    args.reward_weights = [*toy.WEIGHTS.values(), 0.0, 0.0]
    return made(
        model=toy.model(), reward_funcs=reward_functions(), args=args, correct="right", valid="readable", **world()
    )


def ours(case: Case, folder: Path, **changes: Any) -> PoiseTrainer:
    path = folder / "algorithm.py"
    path.write_text(case.source())
    return PoiseTrainer(
        pipeline=Pipeline(load_algorithm(path), seed=7),
        grader=toy.ToyGrader(),
        part_weights=dict(toy.WEIGHTS),
        model=toy.model(),
        args=toy.config(folder, **{"max_steps": UPDATES, **changes}),
        **world(),
    )


def trained(trainer: Any, checkpoint: Path | None = None) -> dict[str, torch.Tensor]:
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return toy.adapter(trainer)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


SAVING = {"save_strategy": "steps", "save_steps": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By case: what its exported trainer left, a checkpoint of every update included."""
    return tmp_path_factory.mktemp("plain")


Weights = dict[str, torch.Tensor]
QUICK = ("GRPO", "Rollout stages", "Controller")
SOME = [pytest.param(case, marks=() if case.name in QUICK else pytest.mark.slow) for case in CASES]


@pytest.fixture(scope="module")
def weights(folder: Path) -> Callable[[Case], Weights]:
    """What a case's exported trainer trained; once."""

    @cache
    def of(name: str) -> Weights:
        (folder / name).mkdir()
        return trained(plain(CASES[IDS.index(name)], folder / name, **SAVING))

    return lambda case: of(case.name)


@pytest.mark.parametrize("case", SOME, ids=IDS)
def test_an_exported_file_trains_to_the_same_weights_bit_for_bit(
    case: Case, weights: Callable[[Case], Weights], tmp_path: Path
) -> None:
    assert same(trained(ours(case, tmp_path)), weights(case))


@pytest.mark.parametrize("case", SOME[1:], ids=IDS[1:])
def test_each_of_them_trains_otherwise_than_grpo(case: Case, weights: Callable[[Case], Weights]) -> None:
    assert not same(weights(CASES[0]), weights(case))


@pytest.mark.parametrize(
    "case", [CASES[3], pytest.param(CASES[6], marks=pytest.mark.slow)], ids=["Controller", "Own generator"]
)
@pytest.mark.parametrize(
    "stopped", [3, pytest.param(4, marks=pytest.mark.slow)], ids=["in the middle of a batch", "between batches"]
)
def test_a_training_that_goes_on_from_a_checkpoint_ends_at_the_same_weights(
    case: Case, stopped: int, weights: Callable[[Case], Weights], folder: Path, tmp_path: Path
) -> None:
    whole = weights(case)
    assert same(trained(plain(case, tmp_path), folder / case.name / f"checkpoint-{stopped}"), whole)


def test_a_checkpoint_without_the_state_of_its_mechanisms_is_refused(
    weights: Callable[[Case], Weights], folder: Path, tmp_path: Path
) -> None:
    weights(CASES[0])
    checkpoint = folder / "GRPO" / "checkpoint-2"
    (checkpoint / "mechanisms.json").unlink()
    with pytest.raises(ValueError, match=r"checkpoint-2 has no mechanisms\.json"):
        trained(plain(CASES[0], tmp_path), checkpoint)


def test_what_cannot_work_is_refused_before_the_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="logging_steps=1"):
        plain(CASES[0], tmp_path, logging_steps=2)
    with pytest.raises(ValueError, match="whole groups"):
        plain(CASES[5], tmp_path, per_device_train_batch_size=12, steps_per_generation=2)
    made = exported(CASES[0], tmp_path).GrpoTrainer
    args = toy.config(tmp_path)
    with pytest.raises(ValueError, match="correct='nope' is no reward function; they are digits, short, sparse"):
        made(model=toy.model(), reward_funcs=toy.reward_functions(), args=args, correct="nope", **world())


@pytest.mark.slow
def test_several_processes_are_refused_since_each_would_see_a_part_of_the_batch(tmp_path: Path) -> None:
    code = "from tests.standalone.test_trained_alike import CASES, plain; from pathlib import Path; "
    script = tmp_path / "train.py"
    script.write_text(f"{code}plain(CASES[0], Path({str(tmp_path)!r}))\n")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    tree = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(launcher, env=tree, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "ValueError: 2 processes: this trainer works in one process only" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_whole_training_of_48_updates_ends_at_the_same_weights(case: Case, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    theirs = trained(plain(case, tmp_path / "plain", max_steps=48))
    assert same(trained(ours(case, tmp_path, max_steps=48)), theirs)
