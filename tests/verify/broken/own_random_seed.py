# check: deterministic, no hidden state
# mechanism: Dice
# stage: advantages
# found: not deterministic
"""A generator of its own, seeded by the clock."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Dice(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        g = torch.Generator()
        g.seed()
        a = inner(value)
        return a * (1 + 0.1 * torch.rand(len(a), generator=g).to(a.dtype))


algorithm = Algorithm(name="Broken", mechanisms=(Dice(),))
