# check: hooks keep the rules
# mechanism: Number
# stage: aggregate
# regime: mixed groups
# found: float
"""A Python float."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Number(Mechanism):
    def aggregate(self, m: Minibatch, value: Tensor, inner: Inner) -> Tensor:
        return inner(value).item()


algorithm = Algorithm(name="Broken", mechanisms=(Number(),))
