"""Both ends of the grader: `GraderProcess` for the engine, `GraderClient` for a trainer. No torch in here."""

import json
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self, TypedDict

from engine.errors import PoiseError
from engine.process.module import start_module
from engine.tasks.allowance import Allowance
from engine.tasks.interface import Grade

CONNECT_SECONDS = 20.0
"""How long a start of the grader and the loading of a task set may take."""


class Prompt(TypedDict):
    """A training problem as the trainer sees it."""

    id: str
    task: str
    prompt: str


class Item(TypedDict):
    """A completion to grade: its text without the end token, and whether it was cut off."""

    id: str
    completion: str
    truncated: bool


class GraderClient:
    """A trainer's blocking connection to the grader.

    Args:
        fd: a connected stream socket; the client owns it from now on.
    """

    def __init__(self, fd: int) -> None:
        self._stream = socket.socket(fileno=fd)
        self._stream.setblocking(True)
        self._lines = self._stream.makefile("rb")

    def prompts(self) -> tuple[list[Prompt], dict[str, float]]:
        """The training problems, and the weight of every reward part.

        Raises:
            PoiseError: the grader is gone, or refuses.
        """
        answer = self._ask({"op": "prompts"})
        return answer["prompts"], answer["parts"]

    def grade(self, items: Sequence[Item]) -> list[Grade]:
        """A grade for every item, in order.

        Raises:
            PoiseError: the grader is gone, or refuses (an unknown id, for one).
        """
        return [Grade(**grade) for grade in self._ask({"op": "grade", "items": list(items)})["grades"]]

    def close(self) -> None:
        """Say goodbye; the grader goes on with the others."""
        self._lines.close()
        self._stream.close()

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self._stream.sendall(json.dumps(request).encode() + b"\n")
            line = self._lines.readline()
        except OSError as error:
            raise PoiseError(f"the grader is gone: {error}") from error
        if not line.endswith(b"\n"):
            raise PoiseError("the grader is gone: it closed the connection")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PoiseError(f"the grader refused: {answer['error']}")
        return answer


class GraderProcess:
    """The grader of a run, started by the engine; it dies with the engine.

    PDEATHSIG follows the *thread* that starts it: make one from the main thread.

    Args:
        stderr: where its messages go; by default the engine's own stderr.
    """

    def __init__(self, stderr: IO[bytes] | None = None) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(CONNECT_SECONDS)
        heard, told = os.pipe()
        os.set_blocking(heard, False)
        self._notices = os.fdopen(heard, "rb", buffering=0)
        self._heard, self._deaf = b"", False
        with theirs:
            descriptors = [theirs.fileno(), told]
            arguments = ["--fd", str(descriptors[0]), "--notices", str(told)]
            self._process = start_module("engine.tasks.grader", *arguments, pass_fds=descriptors, stderr=stderr)
        os.close(told)
        self._control = ours

    @property
    def pid(self) -> int:
        """The grader's process id."""
        return self._process.pid

    def connect(
        self,
        taskset: str,
        options: Mapping[str, Any],
        seed: int,
        *,
        name: str = "",
        allowance: Allowance | None = None,
        control: str | None = None,
        scored: Mapping[str, Any] | None = None,
    ) -> socket.socket:
        """A stream socket for one trainer: give its descriptor to the child, then close it here.

        Args:
            taskset: see `engine.tasks.load_taskset`.
            seed: picks the training problems out of the training split.
            name: what its notices are called.
            allowance: what it may ask; without one a million completions.
            control: see `engine.tasks.controls.CONTROLS`.
            scored: `{"split", "problems"}` (one number, or a table by task) for a scorer: held-out problems.

        Raises:
            PoiseError: the task set does not load, or the grader is gone.
        """
        mine, grader_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        request = {"op": "client", "taskset": taskset, "options": dict(options), "seed": seed, "name": name}
        request |= {"allowance": (allowance or Allowance()).document(), "control": control}
        request |= {"scored": scored and dict(scored)}
        try:
            with grader_end:
                socket.send_fds(self._control, [json.dumps(request).encode()], [grader_end.fileno()])
            data = self._control.recv(64 * 1024)
        except OSError as error:
            mine.close()
            raise PoiseError(f"the grader does not answer: {error or type(error).__name__}") from error
        answer = json.loads(data) if data else {"ok": False, "error": "the grader has ended"}
        if not answer["ok"]:
            mine.close()
            raise PoiseError(str(answer["error"]))
        return mine

    @property
    def notices(self) -> int:
        """A descriptor that can be read when `cut_off` has something to say."""
        return self._notices.fileno()

    @property
    def ended(self) -> bool:
        """Whether the grader has closed its end of the notices: it is dead."""
        return self._deaf

    def cut_off(self) -> list[tuple[str, str]]:
        """Names of trainers that asked beyond their allowance since the last call, and of what they asked too much."""
        data = self._notices.read(1 << 16)  # None: nothing there yet
        self._deaf = data == b""
        self._heard += data or b""
        *lines, self._heard = self._heard.split(b"\n")
        return [(notice["name"], notice["cause"]) for notice in map(json.loads, lines)]

    def close(self) -> None:
        """End the grader and wait for it."""
        self._control.close()
        self._notices.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
