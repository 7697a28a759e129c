# check: loads
# mechanism: Halved
# found: ZeroDivisionError
"""Divides by zero at the top of the file."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


LIMIT = 1 / 0


class Halved(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) * LIMIT


algorithm = Algorithm(name="Broken", mechanisms=(Halved(),))
