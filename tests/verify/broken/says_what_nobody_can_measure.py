# check: does what it claims
# found: there is no claim
"""A claim outside the vocabulary."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Halved(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return torch.where(value < 0, 0.5 * inner(value), inner(value))


algorithm = Algorithm(name="Wise", mechanisms=(Halved(),), claims=("makes_models_wise",))
