# check: order changes nothing
# mechanism: First
# stage: baseline
# regime: mixed groups
# found: another gradient for another order
"""The baseline is the first row of the group."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class First(Mechanism):
    def baseline(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return r.spread(r.grouped(value.nan_to_num())[:, 0])


algorithm = Algorithm(name="Broken", mechanisms=(First(),))
