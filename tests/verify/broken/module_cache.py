# check: deterministic, no hidden state
# mechanism: Cached
# stage: advantages
# found: hidden state
"""A list in the module remembers every batch."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


SEEN = []


class Cached(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        a = inner(value)
        SEEN.append(float(a.abs().mean()))
        return a / max(SEEN)


algorithm = Algorithm(name="Broken", mechanisms=(Cached(),))
