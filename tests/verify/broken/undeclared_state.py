# check: hooks keep the rules
# mechanism: Diary
# stage: advantages
# regime: mixed groups
# found: seen
"""Remembers without saying so."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Diary(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        r.state["seen"] = float(r.step)
        return inner(value) * 0.5


algorithm = Algorithm(name="Broken", mechanisms=(Diary(),))
