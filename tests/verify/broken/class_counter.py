# check: deterministic, no hidden state
# mechanism: Warm
# stage: advantages
# found: hidden state: Warm.calls
"""Counts in the class."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Warm(Mechanism):
    calls = []

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        Warm.calls.append(1)
        return inner(value) * min(len(Warm.calls) / 10, 1.0)


algorithm = Algorithm(name="Broken", mechanisms=(Warm(),))
