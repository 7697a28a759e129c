"""A training that stopped and goes on is, bit for bit, one that never stopped; only what is whole is gone on from."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine.algorithms.library.drops import DropUniform
from engine.algorithms.library.entropy import AdaptiveEntropy
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm
from engine.process.child import Failure
from engine.training import checkpoints
from engine.training.recording import Recorder
from engine.training.run import refuse_split
from tests.training import toy
from tests.training.test_seam import train

UPDATES = 12
ALGORITHM = Algorithm("t", (AdaptiveEntropy(target=3.2), DropUniform()))
SETTINGS: dict[str, Any] = {"max_steps": UPDATES, "save_steps": 4}
SAME = ("step", "loss", "grad_norm", "reward", "kl", "entropy", "clip_fraction", "all_fail", "parts", "advantage_std")


class PausingRecorder(Recorder):
    """Finds the control word after this update."""

    pause_at = 0

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> Any:
        if state.global_step == self.pause_at:
            (self.folder / "control").write_text("pause")
        return super().on_step_end(args, state, control, **more)


def paused_at(folder: Path, step: int, resume: Path | None = None, **settings: Any) -> Path:
    """A training that was paused after this update: its newest checkpoint."""
    folder.mkdir(exist_ok=True)
    recorder = PausingRecorder(folder, Pipeline(ALGORITHM, seed=7), updates_per_batch=2, sample_every=4)
    recorder.pause_at = step
    trainer = train(folder, ALGORITHM, resume, recorder, **{**SETTINGS, **settings})
    (folder / "control").unlink()
    assert trainer.state.global_step == step, "it pauses after the very update"
    found = checkpoints.newest(folder / "checkpoints")
    assert found is not None and found.name == f"checkpoint-{step}"
    return found


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor], dict[str, Any]]:
    """Twelve updates without a stop: folder, adapter, the mechanisms' state."""
    folder = tmp_path_factory.mktemp("resume") / "whole"
    recorder = Recorder(folder, Pipeline(ALGORITHM, seed=7), updates_per_batch=2, sample_every=4)
    trainer = train(folder, ALGORITHM, None, recorder, **SETTINGS)
    return folder, toy.adapter(trainer), trainer.pipeline.state_dict()


@pytest.mark.fault(14)
@pytest.mark.parametrize("stops", [(6,), (5,), (1, 2, 7)])
def test_six_updates_and_six_more_are_twelve_to_the_bit(
    whole: tuple[Path, dict[str, torch.Tensor], dict[str, Any]], tmp_path: Path, stops: tuple[int, ...]
) -> None:
    """Optimizer, random numbers, data order, the half-used batch and the mechanisms' own state all come back."""
    folder, adapter, state = whole
    resume = None
    for stop in stops:
        resume = paused_at(tmp_path / "cut", stop, resume)
    recorder = Recorder(tmp_path / "cut", Pipeline(ALGORITHM, seed=7), updates_per_batch=2, sample_every=4)
    last = train(tmp_path / "cut", ALGORITHM, resume, recorder, **SETTINGS)
    assert last.state.global_step == UPDATES
    ours = toy.adapter(last)
    assert ours.keys() == adapter.keys()
    assert all(torch.equal(ours[k], adapter[k]) for k in adapter)
    assert last.pipeline.state_dict() == state
    for one, other in zip(lines(tmp_path / "cut" / "metrics.jsonl"), lines(folder / "metrics.jsonl"), strict=True):
        assert {k: one[k] for k in SAME} == {k: other[k] for k in SAME}
    assert lines(tmp_path / "cut" / "samples.jsonl") == lines(folder / "samples.jsonl")


def test_under_accumulation_a_resumed_training_is_bit_equal_too(tmp_path: Path) -> None:
    parts = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "steps_per_generation": 4}
    straight = train(tmp_path / "straight", ALGORITHM, **SETTINGS, **parts)
    resume = paused_at(tmp_path / "cut", 5, **parts)
    last = train(tmp_path / "cut", ALGORITHM, resume, **SETTINGS, **parts)
    theirs = toy.adapter(straight)
    assert all(torch.equal(v, theirs[k]) for k, v in toy.adapter(last).items())


@pytest.mark.fault(15)
@pytest.mark.parametrize("damage", ["flip", "truncate", "lose", "add", "manifest"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(tmp_path: Path, damage: str) -> None:
    paused_at(tmp_path / "t", 5)
    folder = tmp_path / "t" / "checkpoints"
    assert sorted(p.name for p in folder.glob("*-*")) == ["checkpoint-4", "checkpoint-5"]
    victim = folder / "checkpoint-5" / "optimizer.pt"
    match damage:
        case "flip":
            data = bytearray(victim.read_bytes())
            data[len(data) // 2] ^= 1
            victim.write_bytes(data)
        case "truncate":
            victim.write_bytes(victim.read_bytes()[:-1])
        case "lose":
            victim.unlink()
        case "add":
            (folder / "checkpoint-5" / "stray.bin").write_bytes(b"x")
        case "manifest":
            (folder / "checkpoint-5" / "manifest.json").write_text('{"files": {')
    found = checkpoints.newest(folder)
    assert found == folder / "checkpoint-4"
    assert sorted(p.name for p in folder.glob("*-*")) == ["checkpoint-4", "damaged-5"]


def test_a_checkpoint_that_was_being_written_does_not_count(tmp_path: Path) -> None:
    """What kill -9 leaves: files, and no manifest yet."""
    paused_at(tmp_path / "t", 5)
    folder = tmp_path / "t" / "checkpoints"
    (folder / "checkpoint-5" / "manifest.json").unlink()
    assert checkpoints.furthest(folder) == 4
    assert checkpoints.newest(folder) == folder / "checkpoint-4"
    assert not (folder / "checkpoint-5").exists()
    (folder / "checkpoint-4" / "pipeline.json").unlink()
    assert checkpoints.newest(folder) is None, "with none left it starts anew"


@pytest.mark.fault(19)
def test_old_checkpoints_go_by_their_number_and_not_by_the_clock(tmp_path: Path) -> None:
    for step in (2, 10, 4):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "weights").write_text(str(step))
        checkpoints.seal(tmp_path / f"checkpoint-{step}", {})
        checkpoints.drop_old(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-4"]


@pytest.mark.parametrize(
    ("before", "now", "wanted"),
    [
        ({"device": "cpu", "torch": "2"}, {"device": "cpu", "torch": "2"}, "exact"),
        ({"device": "cpu", "torch": "1"}, {"device": "cpu", "torch": "2"}, "inexact"),
        ({"device": "cuda", "torch": "2"}, {"device": "cuda", "torch": "2"}, "inexact"),
        ({"device": "cpu", "torch": "2", "resumed": "inexact"}, {"device": "cpu", "torch": "2"}, "inexact"),
    ],
)
def test_a_resumed_training_says_whether_it_is_exact(
    tmp_path: Path, before: dict[str, Any], now: dict[str, Any], wanted: str
) -> None:
    checkpoint = tmp_path / "checkpoint-2"
    checkpoint.mkdir()
    (checkpoint / "pipeline.json").write_text("{}")
    checkpoints.seal(checkpoint, before)
    recorder = Recorder(tmp_path, Pipeline(Algorithm("GRPO"), seed=7), updates_per_batch=2, sample_every=2)
    recorder.trainer = SimpleNamespace()  # type: ignore[assignment]
    recorder.facts = now
    recorder.resume(checkpoint)
    assert recorder.facts["resumed"] == wanted


@pytest.mark.fault(17)
def test_a_smaller_micro_batch_is_the_same_training_up_to_rounding(tmp_path: Path) -> None:
    """An update in two halves: what a training that ran out of memory is tried again with."""
    one = train(tmp_path / "one", Algorithm("GRPO"), max_steps=4, save_steps=4, learning_rate=1e-3)
    parts = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "steps_per_generation": 4}
    two = train(tmp_path / "two", Algorithm("GRPO"), max_steps=4, save_steps=4, learning_rate=1e-3, **parts)
    rows = [lines(tmp_path / name / "metrics.jsonl") for name in ("one", "two")]
    assert [r["reward"] for r in rows[0]][:2] == [r["reward"] for r in rows[1]][:2]
    for a, b in zip(rows[0][:2], rows[1][:2], strict=True):
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-3)
    assert one.state.global_step == two.state.global_step == 4


class Local:
    name, local, whole_groups = "BatchQuantile", True, False


class Whole:
    name, local, whole_groups = "GVPO", False, True


@pytest.mark.parametrize(
    ("mechanisms", "split", "why"),
    [
        ((Local(),), 2, "BatchQuantile works on a micro-batch as a whole"),
        ((Whole(),), 4, "8 rows cannot be split into 4 parts"),
        ((), 3, "the 8 rows of a micro-batch cannot be split into 3"),
        ((Local(), Whole()), 1, None),
        ((Whole(),), 2, None),
        ((), 2, None),
    ],
)
def test_what_must_not_be_split_is_refused_with_the_reason(
    mechanisms: tuple[Any, ...], split: int, why: str | None
) -> None:
    profile = {"train": {"prompts_per_batch": 4, "group_size": 4, "updates_per_batch": 2}}
    algorithm = type("A", (), {"mechanisms": mechanisms})()
    if why is None:
        refuse_split(profile, algorithm, split)
    else:
        with pytest.raises(Failure, match=why) as refused:
            refuse_split(profile, algorithm, split)
        assert refused.value.reason == "indivisible"
