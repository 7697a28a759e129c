# check: hooks keep the rules
# mechanism: Rounded
# stage: advantages
# regime: mixed groups
# found: dtype int64
"""Rounds advantages to integers."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Rounded(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value).round().long()


algorithm = Algorithm(name="Broken", mechanisms=(Rounded(),))
