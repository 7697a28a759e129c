"""Which mechanisms of the library act on the batches recorded from a profile's root, and how much.

    python -P -m benchmarks.library_on_profile [--profile tiny]

A mechanism alone against GRPO, with its defaults: the norm of the difference of the two gradients over GRPO's, at each
recorded moment, in double precision (single has a rounding residue of its own on uniform groups). Below 1e-9 it is
inert there. Controllers have seen as many updates as the root had done, all with the figures of that batch.
"""

from __future__ import annotations

import argparse
import importlib

import torch

from engine.algorithms.catalogue import catalogue
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, Mechanism, StepStats
from engine.verify.alive import LEAST
from engine.verify.behave import SEED, behave
from engine.verify.case import Case, cast
from engine.verify.recorded import COMMAND, recorded


def change(mechanism: Mechanism, case: Case) -> float:
    """Norm of the change of GRPO's gradient over the norm of GRPO's gradient."""
    root = behave(Algorithm("GRPO"), case).flat()
    algorithm = Algorithm(mechanism.name, (mechanism,))
    pipeline = Pipeline(algorithm, SEED)
    for step in range(1, case.step + 1):
        pipeline.on_optimizer_step(figures(case, step))
    return float((behave(algorithm, case, pipeline=pipeline).flat() - root).norm() / root.norm())


def figures(case: Case, step: int) -> StepStats:
    """What a controller would have been told, had every update had this batch."""
    tokens = case.mask.sum()
    ratio = torch.exp(case.logp - case.old_logp)
    outside = (ratio < 1 - case.hyper.clip_low) | (ratio > 1 + case.hyper.clip_high)
    apart = case.logp * 0 if case.ref_logp is None else case.ref_logp - case.logp
    return StepStats(
        step=step,
        progress=case.progress * step / max(case.step, 1),
        reward=case.rewards.nanmean().item(),
        correct=case.correct.double().mean().item(),
        entropy=((case.entropy * case.mask).sum() / tokens).item(),
        kl=(((torch.exp(apart) - apart - 1) * case.mask).sum() / tokens).item(),
        length=case.lengths.mean().item(),
        clip_fraction=((outside * case.mask).sum() / tokens).item(),
        grad_norm=0.3,
    )


def main() -> None:
    """The command line above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="tiny")
    name = parser.parse_args().profile
    torch.set_num_threads(1)
    cases = [cast(case, torch.float64) for case in recorded(name)]
    if not cases:
        parser.error(f"nothing is recorded for {name!r}: {COMMAND.format(name)}")
    print(f"| mechanism | acts | {' | '.join(case.name for case in cases)} |\n|{'---|' * (len(cases) + 2)}")
    inert = []
    for entry in catalogue().values():
        mechanism = getattr(importlib.import_module(f"engine.algorithms.library.{entry.module}"), entry.name)()
        found = [change(mechanism, case) for case in cases]
        acts = max(found) > LEAST
        inert += [] if acts else [entry.name]
        print(f"| {entry.name} | {'yes' if acts else 'no'} | {' | '.join(f'{x:.2g}' for x in found)} |")
    print(f"\n{len(catalogue()) - len(inert)} of {len(catalogue())} act; inert on {name}: {', '.join(inert) or 'none'}")


if __name__ == "__main__":
    main()
