# check: loads
# mechanism: Seeder
# found: torch.manual_seed is not allowed
"""Reseeds the sampling of everybody."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Seeder(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        torch.manual_seed(0)
        return inner(value) * 0.5


algorithm = Algorithm(name="Broken", mechanisms=(Seeder(),))
