# check: loads
# mechanism: Counter
# found: `global` is not allowed
"""Counts in a module variable, with `global`."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


CALLS = 0


class Counter(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        global CALLS
        CALLS += 1
        return inner(value) * CALLS


algorithm = Algorithm(name="Broken", mechanisms=(Counter(),))
