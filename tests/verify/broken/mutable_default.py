# check: deterministic, no hidden state
# mechanism: Default
# found: hidden state: Default.scaled()
"""Remembers in a default argument."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Default(Mechanism):
    def scaled(self, x: Tensor, calls=[]) -> Tensor:  # noqa: B006
        calls.append(1)
        return x / len(calls)

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return self.scaled(inner(value))


algorithm = Algorithm(name="Broken", mechanisms=(Default(),))
