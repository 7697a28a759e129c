# check: does what it claims
# found: silent_on_all_fail
"""Says that all-fail groups are silent, halves them."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Silencer(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return torch.where(r.pass_rate() == 0, 0.5 * inner(value), inner(value))


algorithm = Algorithm(name="Silent", mechanisms=(Silencer(),), claims=("silent_on_all_fail",))
