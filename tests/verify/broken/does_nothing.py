# check: no mechanism is inert
# mechanism: Identity
# stage: advantages
# found: Identity is inert
"""Multiplies by one."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Identity(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) * 1.0


algorithm = Algorithm(name="Broken", mechanisms=(Identity(),))
