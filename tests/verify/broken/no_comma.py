# check: loads
# found: mechanisms must be a tuple
"""One mechanism in brackets is no tuple."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Halved(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) * 0.5


algorithm = Algorithm(name="Broken", mechanisms=(Halved()))
