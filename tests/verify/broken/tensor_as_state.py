# check: hooks keep the rules
# mechanism: Memory
# stage: advantages
# regime: mixed groups
# found: mean is a Tensor
"""State that no JSON can hold."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Memory(Mechanism):
    def initial_state(self) -> dict:
        return {"mean": 0.0}

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        r.state["mean"] = inner(value).mean()
        return inner(value) * 0.5


algorithm = Algorithm(name="Broken", mechanisms=(Memory(),))
