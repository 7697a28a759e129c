# check: hooks keep the rules
# mechanism: Summed
# stage: advantages
# regime: mixed groups
# found: shape ()
"""One advantage for the whole batch."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Summed(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value).sum()


algorithm = Algorithm(name="Broken", mechanisms=(Summed(),))
