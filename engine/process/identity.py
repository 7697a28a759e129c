"""Who a process is: a pid alone is reused, a pid with its start time and the machine's boot id is not."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path


@functools.cache
def boot_id() -> str:
    """The id of this boot of this machine; empty where the system does not tell (macOS)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def host() -> str:
    """This machine's name."""
    return os.uname().nodename


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if it does not run (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command's name stands in brackets and may itself hold brackets and spaces: count from the last one.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


@dataclass(frozen=True)
class Identity:
    """One process on one boot of one host."""

    pid: int
    start_time: int
    boot_id: str
    host: str

    @classmethod
    def mine(cls) -> "Identity":
        """The calling process."""
        return cls(os.getpid(), start_time(os.getpid()) or 0, boot_id(), host())

    @property
    def here(self) -> bool:
        """Whether it belongs to this host, so that its life can be judged from here."""
        return self.host == host()

    def alive(self) -> bool:
        """Whether exactly this process still runs here."""
        return self.here and self.boot_id == boot_id() and start_time(self.pid) == self.start_time
