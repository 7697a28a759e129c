# check: hooks keep the rules
# mechanism: Entropic
# stage: advantages
# regime: mixed groups
# found: needs_entropy
"""Reads token entropies that nobody computed."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Entropic(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        return a * (1 + r.entropy.mean(dim=1).to(a.dtype))


algorithm = Algorithm(name="Broken", mechanisms=(Entropic(),))
