# check: does what it claims
# found: length_only_when_correct
"""Says that length counts only for correct rows."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class FairLength(Mechanism):
    def shape_rewards(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value) - 0.3 * r.lengths.to(value.dtype) / r.hyper.max_length


algorithm = Algorithm(name="Fair", mechanisms=(FairLength(),), claims=("length_only_when_correct",))
