# check: loads
# mechanism: Halved
# found: Halved hooks no stage
"""Its method is named like no stage."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Halved(Mechanism):
    def advantage(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) * 0.5


algorithm = Algorithm(name="Broken", mechanisms=(Halved(),))
