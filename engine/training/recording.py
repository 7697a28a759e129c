"""What a training writes while it runs: metrics.jsonl, samples.jsonl, checkpoints; and what it obeys: `control`."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from engine.algorithms.pipeline import Pipeline
from engine.archive.files import sync_files
from engine.process.child import Failure, control_word
from engine.training import checkpoints
from engine.training.divergence import WINDOW, diverged
from engine.training.trainer import Batch, PoiseTrainer

STATE_FILE = "pipeline.json"
"""The mechanisms' state beside TRL's own files in a checkpoint."""
BATCH_FILE = "batch.pt"
"""The batch of completions that is half used, which TRL's own checkpoints lack."""


class Recorder(TrainerCallback):
    """Writes one metrics line an optimizer update and one group of samples every few; reads the control word.

    Args:
        folder: the trial's folder.
        pipeline: its state goes into checkpoints.
        updates_per_batch: updates made from one batch of completions.
        sample_every: updates between two recorded groups.
        until: the update at which this part of the training ends, at a checkpoint; None trains to the end.
    """

    def __init__(
        self, folder: Path, pipeline: Pipeline, updates_per_batch: int, sample_every: int, until: int | None = None
    ) -> None:
        self.folder = folder
        self.pipeline = pipeline
        self.updates_per_batch = updates_per_batch
        self.sample_every = sample_every
        self.until = until
        self.trainer: PoiseTrainer | None = None
        self.ended_by: str | None = None
        """`pause` or `stop` when the control word ended the training, `rung` when its part was done."""
        self._batch: Batch | None = None
        self._samples_due = True
        self._row: dict[str, Any] = {}
        self._last = time.perf_counter()
        self._process = psutil.Process()
        self._rows: list[dict[str, Any]] = []
        """The first metrics and the last ones."""
        self.facts: dict[str, Any] = {}
        """Goes into the manifest of every checkpoint: what a training must run on to go on bit for bit from there."""

    def resume(self, checkpoint: Path | None) -> None:
        """Before the trainer goes on from a checkpoint: bring back what TRL's own files lack."""
        if checkpoint is None:
            return
        assert self.trainer is not None
        step = int(checkpoint.name.split("-")[1])
        self._rows = [row for row in _read(self.folder / "metrics.jsonl") if row["step"] <= step]
        self.pipeline.load_state_dict(json.loads((checkpoint / STATE_FILE).read_text()))
        self.trainer.resumed_at = step
        self._samples_due = step % self.sample_every < self.updates_per_batch
        if (checkpoint / BATCH_FILE).exists():
            self._batch = self.trainer.load_batch(torch.load(checkpoint / BATCH_FILE, weights_only=True))
            self._row = batch_metrics(self._batch, self.pipeline_group_size)
        before = checkpoints.facts(checkpoint) or {}
        exact = before.get("resumed") != "inexact" and self.facts.get("device") == "cpu"
        exact = exact and all(before.get(key) == value for key, value in self.facts.items())
        self.facts["resumed"] = "exact" if exact else "inexact"

    def on_batch(self, batch: Batch) -> None:
        """A generation batch is graded and has its advantages."""
        self._batch = batch
        self._row = batch_metrics(batch, self.pipeline_group_size)
        if self._samples_due:
            self._samples_due = False
            self._write_samples(batch)

    @property
    def pipeline_group_size(self) -> int:
        """Rows of one group."""
        assert self.trainer is not None
        return self.trainer.hyper.group_size

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """After each update (logging_steps is 1): the metrics line; a training that diverged ends here."""
        logs = kwargs["logs"]
        if "loss" not in logs or self.trainer is None or self._batch is None:
            return
        now = time.perf_counter()
        rows = len(self._batch.ids) / self.updates_per_batch
        row = {
            "step": state.global_step,
            "time": time.time(),
            "epoch_progress": state.global_step / max(state.max_steps, 1),
            "loss": logs["loss"],
            "grad_norm": logs.get("grad_norm"),
            "learning_rate": logs.get("learning_rate"),
            **self._row,
            **self.trainer.update,
            "samples_per_second": rows / max(now - self._last, 1e-9),
            "memory_mb": self._process.memory_info().rss / 2**20,
        }
        self._last = now
        _append(self.folder / "metrics.jsonl", row)
        self._rows = [*self._rows[:1], *self._rows[1:][-WINDOW:], row]
        if (why := diverged(self._rows)) is not None:
            raise Failure(f"diverged: {why}", "diverged")
        self._samples_due = state.global_step % self.sample_every < self.updates_per_batch

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """After every update: end a part that is done, or obey the control word."""
        if state.global_step < state.max_steps:
            done = self.until is not None and state.global_step >= self.until
            word = "rung" if done else control_word(self.folder)
            if word is not None:
                self.ended_by = word
                control.should_save = True
                control.should_training_stop = True
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Complete and seal the checkpoint that TRL has just written."""
        assert self.trainer is not None
        target = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        (target / STATE_FILE).write_text(json.dumps(self.pipeline.state_dict()))
        if state.global_step % self.updates_per_batch:
            torch.save(self.trainer.half_used_batch(), target / BATCH_FILE)
        sync_files(target.parents[1])  # what a resumed training goes on from includes its curves
        checkpoints.seal(target, self.facts)
        checkpoints.drop_old(target.parent)

    def _write_samples(self, batch: Batch) -> None:
        assert self.trainer is not None and batch.advantages is not None
        step, size = self.trainer.state.global_step, self.pipeline_group_size
        group = (step // max(self.sample_every, 1)) % (len(batch.ids) // size)
        with (self.folder / "samples.jsonl").open("a", encoding="utf-8") as f:
            for i in range(group * size, (group + 1) * size):
                advantage = batch.advantages[i]
                row = {
                    "step": step,
                    "task": batch.tasks[i],
                    "problem": batch.ids[i],
                    "prompt": batch.prompts[i],
                    "completion": batch.completions[i],
                    "reward": _finite(batch.rewards[i].item()),
                    "parts": {k: _finite(v[i].item()) for k, v in batch.parts.items()},
                    "correct": bool(batch.correct[i]),
                    "valid": bool(batch.valid[i]),
                    "truncated": bool(batch.truncated[i]),
                    "advantage": _finite(advantage.float().mean().item()),
                    "length": int(batch.lengths[i]),
                }
                f.write(json.dumps(row) + "\n")


def batch_metrics(batch: Batch, group_size: int) -> dict[str, Any]:
    """Means over a generation batch; fractions in [0, 1], lengths in tokens."""
    assert batch.advantages is not None
    rate = batch.correct.float().view(-1, group_size).mean(dim=1)
    rewards = torch.nan_to_num(batch.rewards)
    return {
        "reward": rewards.mean().item(),
        "reward_std": rewards.std().item(),
        "parts": {k: _finite(torch.nanmean(v).item()) for k, v in batch.parts.items()},
        "correct": batch.correct.float().mean().item(),
        "invalid": 1.0 - batch.valid.float().mean().item(),
        "truncated": batch.truncated.float().mean().item(),
        "length": batch.lengths.mean().item(),
        "length_std": batch.lengths.std().item(),
        "all_fail": (rate == 0).float().mean().item(),
        "mixed": ((rate > 0) & (rate < 1)).float().mean().item(),
        "all_pass": (rate == 1).float().mean().item(),
        "advantage_mean": batch.advantages.float().mean().item(),
        "advantage_std": batch.advantages.float().std().item(),
        "advantage_max": batch.advantages.float().abs().max().item(),
        **batch.sampling,
    }


def cut_after(path: Path, step: int) -> None:
    """Drop the lines of a JSON-lines file that are newer than `step`, torn ones too: a resumed training writes them
    again.
    """
    if not path.exists():
        return
    kept = [json.dumps(row) for row in _read(path) if row["step"] <= step]
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
    os.replace(temporary, path)


def _read(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSON-lines file that have a step; torn ones are left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
            rows.append({**row, "step": int(row["step"])})
        except (ValueError, KeyError, TypeError):
            continue
    return rows


def _append(path: Path, row: dict[str, Any]) -> None:
    clean = {k: _finite(v) if isinstance(v, float) else v for k, v in row.items()}
    with path.open("a", encoding="utf-8") as f:
        f.write(json.dumps(clean) + "\n")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
