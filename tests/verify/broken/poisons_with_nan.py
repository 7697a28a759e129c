# check: hooks keep the rules
# mechanism: BatchMean
# stage: baseline
# regime: unscorable rows
# found: NaN
"""One unscorable row makes its whole batch NaN."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class BatchMean(Mechanism):
    def baseline(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return value.mean().expand_as(value)


algorithm = Algorithm(name="Broken", mechanisms=(BatchMean(),))
