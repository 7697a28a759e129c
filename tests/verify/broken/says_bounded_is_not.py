# check: does what it claims
# found: bounds_extreme_ratios
"""Says that extreme ratios are bounded, removes the clip."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Bounded(Mechanism):
    def surrogate(self, m: Minibatch, value: Tensor, inner: Inner) -> Tensor:
        return -value * m.advantages


algorithm = Algorithm(name="Bounded", mechanisms=(Bounded(),), claims=("bounds_extreme_ratios",))
