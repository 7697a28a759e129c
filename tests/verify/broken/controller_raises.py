# check: hooks keep the rules
# mechanism: Control
# stage: on_optimizer_step
# found: entropie
"""A controller with a typo."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Control(Mechanism):
    def initial_state(self) -> dict:
        return {"factor": 0.5}

    def on_optimizer_step(self, s) -> None:
        s.state["factor"] = s.entropie

    def regularize(self, m: Minibatch, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) * m.number("factor")


algorithm = Algorithm(name="Broken", mechanisms=(Control(),))
