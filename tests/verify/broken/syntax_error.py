# check: loads
# found: syntax error in line
"""A colon is missing."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Halved(Mechanism)
    pass



