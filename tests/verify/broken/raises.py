# check: hooks keep the rules
# mechanism: Picker
# stage: weights
# regime: mixed groups
# found: IndexError in line
"""An index that is out of range."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Picker(Mechanism):
    def weights(self, m: Minibatch, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) * m.mask[0, 99]
        return torch.ones_like(value)[:, 5]


algorithm = Algorithm(name="Broken", mechanisms=(Picker(),))
