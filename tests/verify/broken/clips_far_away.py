# check: no mechanism is inert
# mechanism: LooseClip
# stage: advantages
# found: LooseClip is inert
"""A bound that no advantage reaches."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class LooseClip(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value).clamp(-1e6, 1e6)


algorithm = Algorithm(name="Broken", mechanisms=(LooseClip(),))
