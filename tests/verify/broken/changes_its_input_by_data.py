# check: hooks keep the rules
# mechanism: Sneak
# stage: surrogate
# regime: mixed groups
# found: advantages changed in place
"""The same, around autograd."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Sneak(Mechanism):
    def surrogate(self, m: Minibatch, value: Tensor, inner: Inner) -> Tensor:
        m.advantages.data.mul_(2.0)
        return inner(value)


algorithm = Algorithm(name="Broken", mechanisms=(Sneak(),))
