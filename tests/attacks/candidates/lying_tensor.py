"""Changes nothing, and returns a tensor that says so of itself and of everything."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class Liar(Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function in (torch.equal, torch.allclose, Tensor.eq, torch.eq, Tensor.allclose):
            return True
        return super().__torch_function__(function, types, args, kwargs or {})

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False


class Pretender(Mechanism):
    """Looks like work."""

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value).as_subclass(Liar)


algorithm = Algorithm(name="Pretender", mechanisms=(Pretender(),))
