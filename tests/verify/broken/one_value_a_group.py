# check: hooks keep the rules
# mechanism: PerGroup
# stage: baseline
# regime: mixed groups
# found: shape (4,)
"""Forgets to spread a group statistic over its rows."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class PerGroup(Mechanism):
    def baseline(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return r.grouped(value).mean(dim=1)


algorithm = Algorithm(name="Broken", mechanisms=(PerGroup(),))
