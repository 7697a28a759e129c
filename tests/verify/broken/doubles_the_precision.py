# check: hooks keep the rules
# mechanism: Precise
# stage: advantages
# regime: mixed groups
# found: dtype float64
"""Turns the batch to float64."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Precise(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value).double()


algorithm = Algorithm(name="Broken", mechanisms=(Precise(),))
