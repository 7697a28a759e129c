"""Start a module of this package as a process of its own, whatever the working directory holds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO


def start_module(
    module: str, *arguments: str, pass_fds: Sequence[int] = (), stderr: IO[bytes] | int | None = None
) -> subprocess.Popen[bytes]:
    """`python -P -m MODULE ARGUMENTS`, without input or output.

    Args:
        pass_fds: descriptors that it inherits.
        stderr: where its messages go; by default this process's own.

    Raises:
        OSError: no process can be started here.
    """
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        pass_fds=pass_fds,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": path},
    )
