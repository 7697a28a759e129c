# check: loads
# mechanism: Climber
# found: the attribute __
"""Looks for a way out of the sandbox."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Climber(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) * len(self.__class__.__mro__)


algorithm = Algorithm(name="Broken", mechanisms=(Climber(),))
