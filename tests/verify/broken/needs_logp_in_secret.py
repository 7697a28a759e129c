# check: hooks keep the rules
# mechanism: Rarity
# stage: advantages
# regime: on-policy
# found: needs_logp
"""Reads old log-probabilities that on-policy training does not keep."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Rarity(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        return a * torch.exp(-(r.old_logp * r.mask).sum(dim=1).clamp(min=-3).to(a.dtype) / 3)


algorithm = Algorithm(name="Broken", mechanisms=(Rarity(),))
