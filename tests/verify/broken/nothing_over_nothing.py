# check: hooks keep the rules
# mechanism: OverCorrect
# stage: advantages
# regime: all-fail, all-pass and mixed groups
# found: NaN
"""The mean over correct rows, of groups that have none."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class OverCorrect(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        n = r.grouped(r.correct.to(value.dtype)).sum(dim=1)
        length = (r.grouped(r.correct.to(value.dtype) * r.lengths.to(value.dtype))).sum(dim=1) / n
        return inner(value) / r.spread(length)


algorithm = Algorithm(name="Broken", mechanisms=(OverCorrect(),))
