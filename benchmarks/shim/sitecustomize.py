"""Loaded by Python itself where PYTHONPATH names this folder: the first SIGUSR1 to an engine begins a cProfile of its
main thread, by CPU time, the second writes it to $POISE_PROFILE.
"""

import cProfile
import os
import signal
import sys
import time
from types import FrameType

if "engine" in sys.orig_argv and "start" in sys.orig_argv:
    profile = cProfile.Profile(time.thread_time)
    begun = False

    def toggle(number: int, frame: FrameType | None) -> None:
        """Begin, or write down what was seen."""
        global begun
        if begun:
            profile.disable()
            profile.dump_stats(os.environ["POISE_PROFILE"])
        else:
            begun = True
            profile.enable()

    signal.signal(signal.SIGUSR1, toggle)
