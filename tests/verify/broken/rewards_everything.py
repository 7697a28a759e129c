# check: learns a bandit
# mechanism: Praise
"""Every row is pushed up alike."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Praise(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return torch.ones_like(value)


algorithm = Algorithm(name="Broken", mechanisms=(Praise(),))
