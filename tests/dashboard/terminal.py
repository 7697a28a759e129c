"""The real program in a real pseudo terminal, and the screen it draws there."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import pexpect
import pyte

DEADLINE = 60.0
POISE = ["-P", "-m", "poise_tui"]


class Terminal:
    """The dashboard in a pseudo terminal, `poise attach` on the recorded run unless told otherwise."""

    def __init__(
        self,
        runs: Path,
        rows: int,
        columns: int,
        *options: str,
        program: list[str] = POISE,
        command: tuple[str, ...] = ("attach", "recorded"),
        **environment: str,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.bytes = 0
        # COLUMNS and LINES, which test runners set, would overrule the terminal's real size.
        inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        env = {**inherited, "TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **environment}
        arguments = [*program, *command, "--runs-dir", str(runs), *options]
        self.child = pexpect.spawn(sys.executable, arguments, env=env, dimensions=(rows, columns), timeout=1)
        self.raw = bytearray()
        """All that it has written."""

    def wait_for(self, *texts: str, limit: float = DEADLINE) -> str:
        """Read until the screen says all of this."""
        end = time.monotonic() + limit
        while not all(t in self.text for t in texts):
            assert time.monotonic() < end, f"never on screen: {texts}\n{self.text}"
            try:
                data = self.child.read_nonblocking(1 << 16, timeout=0.1)
            except pexpect.TIMEOUT:
                continue
            self._take(data)
        return self.text

    def _take(self, data: bytes) -> None:
        self.bytes += len(data)
        self.raw += data
        self._stream.feed(data)

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def bytes_until_quiet(self, seconds: float) -> int:
        """Read until nothing has come for so long; what came before that."""
        before = self.bytes
        with contextlib.suppress(pexpect.TIMEOUT):
            while True:
                data = self.child.read_nonblocking(1 << 16, timeout=seconds)
                self._take(data)
        return self.bytes - before

    def resize(self, rows: int, columns: int) -> None:
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def ended(self) -> tuple[int | None, int | None]:
        """Exit status and signal, once it has ended."""
        self.child.expect(pexpect.EOF, timeout=DEADLINE)
        self.child.close()
        return self.child.exitstatus, self.child.signalstatus
