# check: does what it claims
# found: raises_rare_successes
"""Says that rare successes weigh more, weighs by the pass rate."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class RareBooster(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) * r.pass_rate().to(value.dtype)


algorithm = Algorithm(name="Rare", mechanisms=(RareBooster(),), claims=("raises_rare_successes",))
