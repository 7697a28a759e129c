# check: loads
# found: nothing named `algorithm`
"""Forgets the last line."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Halved(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) * 0.5


ALGORITHM = Algorithm(name="Broken", mechanisms=(Halved(),))
