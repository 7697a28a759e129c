# check: advantages reach the policy
# mechanism: Detached
# found: none in any regime
"""The policy loss is detached."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Detached(Mechanism):
    def surrogate(self, m: Minibatch, value: Tensor, inner: Inner) -> Tensor:
        return inner(value).detach()


algorithm = Algorithm(name="Broken", mechanisms=(Detached(),))
