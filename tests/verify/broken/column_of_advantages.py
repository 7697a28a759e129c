# check: hooks keep the rules
# mechanism: Column
# stage: advantages
# regime: mixed groups
# found: shape (32, 1)
"""(B,1) where (B,) is meant: it would broadcast to (B,B)."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Column(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value).unsqueeze(1)


algorithm = Algorithm(name="Broken", mechanisms=(Column(),))
