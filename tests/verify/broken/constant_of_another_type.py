# check: loads
# found: Scaled.factor is '2', not float
"""A factor in quotes."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Scaled(Mechanism):
    factor: float = 0.5

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) * self.factor


algorithm = Algorithm(name="Broken", mechanisms=(Scaled(factor="2"),))
