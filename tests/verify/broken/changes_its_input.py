# check: hooks keep the rules
# mechanism: Clipper
# stage: shape_rewards
# regime: mixed groups
# found: rewards changed in place
"""Clips the rewards in place."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Clipper(Mechanism):
    def shape_rewards(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        r.rewards.clamp_(max=1.0)
        return inner(value)


algorithm = Algorithm(name="Broken", mechanisms=(Clipper(),))
