# check: no mechanism is inert
# mechanism: Baseline
# stage: baseline
# found: Baseline is inert
"""A baseline whose result the other mechanism never reads."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Baseline(Mechanism):
    def baseline(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) * 0.5


class Sign(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return r.correct.to(r.rewards.dtype) * 2 - 1


algorithm = Algorithm(name="Broken", mechanisms=(Baseline(), Sign()))
