# check: deterministic, no hidden state
# mechanism: Sleeper
# stage: advantages
# found: hidden state: module.TICKS
"""GRPO for the first batches, something else once it thinks nobody looks."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


TICKS = iter(range(10**9))


class Sleeper(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) if next(TICKS) < 500 else -inner(value)


algorithm = Algorithm(name="Broken", mechanisms=(Sleeper(),))
