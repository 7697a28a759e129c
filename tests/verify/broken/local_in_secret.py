# check: micro-batch split changes nothing
# mechanism: LocalMean
# stage: aggregate
# regime: mixed groups
# found: another gradient when split
"""Normalises by the micro-batch without saying so."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class LocalMean(Mechanism):
    def aggregate(self, m: Minibatch, value: Tensor, inner: Inner) -> Tensor:
        return (value * m.mask).sum() / m.mask.sum().clamp(min=1) / m.hyper.accumulation


algorithm = Algorithm(name="Broken", mechanisms=(LocalMean(),))
