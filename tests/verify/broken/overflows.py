# check: hooks keep the rules
# mechanism: Product
# stage: ratio
# regime: extreme ratios
# found: infinite numbers
"""A sequence ratio as a product of token ratios, without a bound."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Product(Mechanism):
    def ratio(self, m: Minibatch, value: Tensor, inner: Inner) -> Tensor:
        return torch.exp((value * m.mask).sum(-1, keepdim=True) * 8)


algorithm = Algorithm(name="Broken", mechanisms=(Product(),))
