# check: loads
# found: Floored.low is -3.0, outside 0.0 to 1.0
"""A negative floor."""

from typing import Annotated

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Range, Rollouts


class Floored(Mechanism):
    low: Annotated[float, Range(0.0, 1.0)] = 0.5

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value).clamp(min=self.low)


algorithm = Algorithm(name="Broken", mechanisms=(Floored(low=-3.0),))
