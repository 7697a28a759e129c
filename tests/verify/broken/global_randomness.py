# check: hooks keep the rules
# mechanism: Noisy
# stage: advantages
# regime: mixed groups
# found: a draw from torch's global generator
"""Noise from the generator that also draws the samples."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Noisy(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        return a + 0.1 * torch.randn_like(a)


algorithm = Algorithm(name="Broken", mechanisms=(Noisy(),))
