# check: composes
# found: Halved is listed twice
"""The same mechanism two times."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Halved(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) * 0.5


algorithm = Algorithm(name="Broken", mechanisms=(Halved(), Halved()))
