# check: hooks keep the rules
# mechanism: Soft
# stage: drop
# regime: mixed groups
# found: dtype float
"""A probability where True or False is asked."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Soft(Mechanism):
    def drop(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return r.pass_rate() * 0.5


algorithm = Algorithm(name="Broken", mechanisms=(Soft(),))
