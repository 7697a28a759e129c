# check: padding changes nothing
# mechanism: Unmasked
# stage: aggregate
# regime: mixed groups
# found: ignores the mask
"""The mean over all columns, padding included."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Unmasked(Mechanism):
    def aggregate(self, m: Minibatch, value: Tensor, inner: Inner) -> Tensor:
        return value.mean() / m.hyper.accumulation


algorithm = Algorithm(name="Broken", mechanisms=(Unmasked(),))
