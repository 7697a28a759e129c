"""What a test makes go wrong inside a real engine, chosen by the environment; Python imports this at its start.

POISE_TEST_CLOCK: the wall clock jumps by a day, forward and back, every second of real time.
POISE_TEST_FSYNC: once this file exists, every fdatasync fails with EIO, as on a disk that dies.
"""

import os
import time

if os.environ.get("POISE_TEST_CLOCK"):
    _real = time.time

    def _jumping() -> float:
        return _real() + (-86400.0, 0.0, 86400.0)[int(time.monotonic()) % 3]

    time.time = _jumping

if _trigger := os.environ.get("POISE_TEST_FSYNC"):
    _sync = os.fdatasync

    def _failing(handle: int) -> None:
        if os.path.exists(_trigger):
            raise OSError(5, "Input/output error")
        _sync(handle)

    os.fdatasync = _failing
