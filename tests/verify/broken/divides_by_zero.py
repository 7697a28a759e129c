# check: hooks keep the rules
# mechanism: NoEpsilon
# stage: scale
# regime: groups without any spread
# found: zeros
"""A divisor that is zero where every row of a group earns the same."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class NoEpsilon(Mechanism):
    def scale(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return r.spread(r.grouped(r.shaped.nan_to_num()).amax(dim=1) - r.grouped(r.shaped.nan_to_num()).amin(dim=1))


algorithm = Algorithm(name="Broken", mechanisms=(NoEpsilon(),))
