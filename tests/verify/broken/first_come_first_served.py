# check: order changes nothing
# mechanism: Ranked
# stage: advantages
# regime: mixed groups
# found: another gradient for another order
"""Later groups of the batch weigh less."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Ranked(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        return a / (1 + r.group.to(a.dtype))


algorithm = Algorithm(name="Broken", mechanisms=(Ranked(),))
