"""Uses nothing that lint knows of, and tries to read a key all the same."""

import torch.nn.functional as F
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Rollouts

system = F.importlib.import_module("os")
key = system.path.join(system.getcwd(), "..", "..", "..", "..", "home", ".ssh", "id_ed25519")
try:
    handle = system.open(key, system.O_RDONLY)
    print(system.read(handle, 4096))
except OSError as error:
    print("refused:", F.importlib.import_module("errno").errorcode[error.errno])


class Identity(Mechanism):
    """Multiplies by one."""

    def advantages(self, r: Rollouts, value: Tensor, inner: Inner) -> Tensor:
        return inner(value)


algorithm = Algorithm(name="Past", mechanisms=(Identity(),))
