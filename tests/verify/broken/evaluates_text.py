# check: loads
# mechanism: Evil
# found: eval() is not allowed
"""Runs a string."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Evil(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return eval("value")


algorithm = Algorithm(name="Broken", mechanisms=(Evil(),))
