# check: loads
# mechanism: Snoop
# found: import of os is not allowed
"""Wants the file system."""

import os
import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Snoop(Mechanism):
    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        os.listdir("/")
        return inner(value)


algorithm = Algorithm(name="Broken", mechanisms=(Snoop(),))
