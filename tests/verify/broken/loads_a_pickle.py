# check: loads
# mechanism: Thief
# found: torch.load is not allowed
"""Reads weights from a file through torch."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Thief(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return torch.load("gold.pt")


algorithm = Algorithm(name="Broken", mechanisms=(Thief(),))
