"""Record batches of a profile's root: one real training of GRPO, and what its loss saw at a few moments.

python -P -m engine.verify.record --profile tiny [--seed S] [--moments 4] [--out FILE]

It is the training of `poise train GRPO.py --profile P --seed S`. What is kept of a moment is a whole generation batch,
in generation order, and the policy's log-probabilities and entropies on all its rows right before the batch's last
update: off-policy by all the updates before. The loss itself sees those of the last update's rows alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PrinterCallback, TrainerControl, TrainerState, TrainingArguments

from engine.algorithms.pipeline import Advantages, Loss, Pipeline
from engine.contract import Algorithm, Minibatch, Rollouts
from engine.errors import PoiseError
from engine.loop.protocol import protocol_hash
from engine.loop.seeds import train_seed
from engine.profiles.load_model import model_dir
from engine.profiles.schema import load_profile
from engine.tasks.grader_client import GraderClient, GraderProcess
from engine.training.recording import Recorder
from engine.training.run import build_trainer
from engine.verify.case import Case
from engine.verify.recorded import COMMAND, made_from, recording, write

ROW = "recorded_row"
"""What the rows' numbers are shipped as: TRL shuffles a batch before it is cut into updates."""


class Numbered(Pipeline):
    """GRPO, whose rollouts and last micro-batch can be looked at."""

    rollouts: Rollouts
    seen: Minibatch

    def advantages(self, r: Rollouts) -> Advantages:
        """As the pipeline; numbers the rows."""
        self.rollouts = r
        r.ship(ROW, torch.arange(len(r.rewards), device=r.rewards.device))
        return super().advantages(r)

    def loss(self, m: Minibatch, sampler_weight: Tensor | None = None) -> Loss:
        """As the pipeline."""
        self.seen = m
        return super().loss(m, sampler_weight)


class Watcher(Recorder):
    """Keeps the generation batches with the given numbers, counted from 0."""

    def __init__(self, folder: Path, pipeline: Numbered, updates_per_batch: int, wanted: set[int]) -> None:
        super().__init__(folder, pipeline, updates_per_batch, sample_every=sys.maxsize)
        self.numbered = pipeline
        self.wanted = wanted
        self.cases: list[Case] = []

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """The policy is still the one that the loss of this update saw."""
        batch, update = divmod(state.global_step, self.updates_per_batch)
        if batch in self.wanted and update == self.updates_per_batch - 1:
            self.cases.append(self._case(state))

    def _case(self, state: TrainerState) -> Case:
        assert self.trainer is not None
        r, chunks = self.numbered.rollouts, self.trainer._buffered_inputs
        shuffled = {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0] if chunks[0][name].dim()}
        order = shuffled[f"poise_ship_{ROW}"].argsort()
        logp, entropy = (x[order] for x in self.trainer._extra_pass(shuffled))
        _agree(logp, self.numbered.seen)
        case = Case(
            name=f"update {state.global_step + 1} of {state.max_steps}",
            hyper=r.hyper,
            parts=r.parts,
            part_weights=r.part_weights,
            correct=r.correct,
            valid=r.valid,
            truncated=r.truncated,
            lengths=r.lengths,
            mask=r.mask,
            logp=logp,
            old_logp=logp if r.old_logp is None else r.old_logp,
            entropy=entropy,
            ref_logp=r.ref_logp,
            sampler_logp=r.sampler_logp,
            on_policy=r.old_logp is None,
            step=state.global_step,
            progress=state.global_step / state.max_steps,
        )
        return case.map(lambda x: x.detach().cpu().float() if x.is_floating_point() else x.detach().cpu().clone())


def _agree(logp: Tensor, seen: Minibatch) -> None:
    """What is recorded is what the loss saw, for the rows that it saw."""
    difference = ((logp[seen.shipped[ROW]] - seen.logp.detach()) * seen.mask).abs().max().item()
    if difference > 1e-4:
        raise PoiseError(f"recorded log-probabilities differ from those of the loss by {difference:.2g}")


def record(profile: dict[str, Any], seed: int, moments: int, folder: Path) -> list[Case]:
    """Train the root of a resolved profile and keep this many moments, first and last batch among them.

    Args:
        folder: the training leaves its metrics and checkpoints there.
    """
    train, tasks = profile["train"], profile["tasks"]
    batches = train["updates"] // train["updates_per_batch"]
    wanted = {round(i * (batches - 1) / max(moments - 1, 1)) for i in range(moments)}
    pipeline = Numbered(Algorithm("GRPO"), seed=train_seed(seed, "search", 0))
    watcher = Watcher(folder, pipeline, train["updates_per_batch"], wanted)
    with GraderProcess() as grader:
        connection = grader.connect(tasks["name"], tasks["options"], train_seed(seed, "pool", 0))
        client = GraderClient(connection.detach())
        trainer = build_trainer(profile, train_seed(seed, "search", 0), folder, pipeline, client, watcher)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        client.close()
    return watcher.cases


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description="Record batches of a profile's root.")
    parser.add_argument("--profile", default="tiny", help="a shipped profile's name, or a file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--moments", type=int, default=4)
    parser.add_argument("--out", type=Path, help="default: beside the shipped profile of that name")
    arguments = parser.parse_args()
    try:
        profile = load_profile(arguments.profile).resolved()
        out = arguments.out or recording(profile["name"])
        with tempfile.TemporaryDirectory(prefix="poise-record-") as folder:
            cases = record(profile, arguments.seed, arguments.moments, Path(folder))
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        about = {
            "profile": profile["name"],
            "protocol": protocol_hash(profile, model_dir(profile["model"]), device),
            "made_from": made_from(profile),
            "seed": arguments.seed,
            "updates": profile["train"]["updates"],
            "command": f"{COMMAND.format(arguments.profile)} --seed {arguments.seed} --moments {arguments.moments}",
        }
        write(out, cases, about)
    except PoiseError as e:
        sys.exit(str(e))
    print(f"{len(cases)} batches of {len(cases[0].correct)} rows, {out.stat().st_size / 1000:.0f} kB: {out}")


if __name__ == "__main__":
    main()
