# check: learns a bandit
# mechanism: Upside
# found: wrong direction
"""Punishes success."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Upside(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return -inner(value)


algorithm = Algorithm(name="Broken", mechanisms=(Upside(),))
