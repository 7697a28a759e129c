# check: composes
# found: First and Second both replace the stage scale
"""Two mechanisms that both stand in the place of the divisor."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class First(Mechanism):
    def scale(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return torch.ones_like(r.rewards)


class Second(Mechanism):
    def scale(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return torch.ones_like(r.rewards) * 2


algorithm = Algorithm(name="Broken", mechanisms=(First(), Second()))
