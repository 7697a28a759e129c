"""The grader process: it alone knows the answers of the training problems.

    python -P -m engine.tasks.grader --fd N --notices M

N is a SOCK_SEQPACKET Unix socket of the engine. Each message `{"op": "client", "taskset", "options", "seed", "name",
"allowance", "control", "scored": null | {"split", "problems"}}` carries a stream socket (SCM_RIGHTS) and is answered by
`{"ok": true}` or `{"ok": false, "error"}`. On that stream a trainer, or a scorer of held-out problems, asks; a JSON
line each way:

    {"op": "prompts"}
        -> {"prompts": [{"id", "task", "prompt"}], "parts": {NAME: weight}}
    {"op": "grade", "items": [{"id", "completion", "truncated"}]}
        -> {"grades": [{"parts", "valid", "correct"}]}

Whatever else comes is answered by `{"error": "one line"}`. Trainers run candidate code: nothing they send is
trusted, and one that asks beyond its allowance is cut off; the engine reads `{"name", "cause"}` at the other end of
the pipe M. One thread serves them all; the process ends when the engine's socket closes or the engine dies.
"""

import argparse
import ctypes
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from engine.errors import PoiseError
from engine.tasks import Problem, TaskSet, load_taskset
from engine.tasks.allowance import Allowance, Count, Flood
from engine.tasks.controls import PARTS, grading
from engine.tasks.interface import Split, of_task

MAX_WAITING = 1024 * 1024
"""Bytes of answers that may wait for a trainer before its next request is looked at."""

MAX_MESSAGE = 64 * 1024
"""Bytes of one control message."""


class Client:
    """One trainer: its problems, what it may ask, and the bytes on their way in and out."""

    def __init__(
        self,
        stream: socket.socket,
        tasks: TaskSet,
        seed: int,
        allowance: Allowance,
        control: str | None = None,
        scored: Mapping[str, Any] | None = None,
    ) -> None:
        stream.setblocking(False)
        self.stream = stream
        self.parts = PARTS if control else dict(tasks.part_weights)
        split: Split = scored["split"] if scored else "train"
        sizes = scored["problems"] if scored else tasks.pool_size
        pool = [p for name in tasks.names for p in tasks.problems(split, name, of_task(sizes, name), seed)]
        self.problems: dict[str, Problem] = {problem.id: problem for problem in pool}
        self.count = Count(allowance, len(self.problems))
        self.flood: str | None = None
        """Why it was cut off, if it was."""
        self._grading = grading(control, tasks, self.problems, seed)
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.ended = False

    def receive(self) -> None:
        """Take what has arrived."""
        try:
            data = self.stream.recv(256 * 1024)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.incoming += data
        self.ended = not data

    def work(self) -> bool:
        """Answer what can be answered and hand it over; False when this trainer is done with.

        A trainer that does not read its answers gets no further ones: what it can make us hold is bounded.
        """
        while True:
            while len(self.outgoing) < MAX_WAITING and (end := self.incoming.find(b"\n")) >= 0:
                line = bytes(self.incoming[:end])
                del self.incoming[: end + 1]
                self._answer(line)
            if len(self.incoming) > self.count.allowance.line and not self.outgoing:
                self._cut_off(f"a request to the grader is longer than {self.count.allowance.line} bytes")
            if not self.outgoing:
                return not self.ended
            try:
                del self.outgoing[: self.stream.send(self.outgoing)]
            except BlockingIOError:
                return True
            except OSError:
                return False

    def _send(self, answer: dict[str, Any]) -> None:
        self.outgoing += json.dumps(answer).encode() + b"\n"

    def _cut_off(self, cause: str) -> None:
        """Say why, and listen no more."""
        self.flood, self.ended = cause, True
        self.incoming.clear()
        self._send({"error": cause})

    def _answer(self, line: bytes) -> None:
        try:
            self.count.request()
            self._send(self._reply(line))
        except Flood as flood:
            self._cut_off(str(flood))
        except PoiseError as error:
            self._send({"error": str(error)})
        except Exception as error:
            self._send({"error": f"grading failed: {type(error).__name__}"})

    def _reply(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            raise PoiseError("not a JSON line") from None
        operation = request.get("op") if isinstance(request, dict) else None
        if operation == "prompts":
            prompts = [{"id": p.id, "task": p.task, "prompt": p.prompt} for p in self.problems.values()]
            return {"prompts": prompts, "parts": self.parts}
        if operation == "grade":
            items = request.get("items")
            if not isinstance(items, list):
                raise PoiseError("a grade request needs a list 'items'")
            self.count.batch(len(items))
            return {"grades": [self._grade(item) for item in items]}
        raise PoiseError("unknown request: use op 'prompts' or 'grade'")

    def _grade(self, item: Any) -> dict[str, Any]:
        if not isinstance(item, dict):
            raise PoiseError("an item is not an object with id, completion and truncated")
        name, completion, truncated = item.get("id"), item.get("completion"), item.get("truncated")
        if len(item) > 3:
            raise PoiseError("an item has more than id, completion and truncated")
        if not isinstance(name, str) or name not in self.problems:
            raise PoiseError(f"unknown problem {str(name)[:80]!r}: only the problems of 'prompts' are graded")
        if not isinstance(completion, str) or not isinstance(truncated, bool):
            raise PoiseError(f"the item of problem {name!r} needs a text 'completion' and a boolean 'truncated'")
        if len(completion) > self.count.allowance.characters:
            raise PoiseError(
                f"a completion has {len(completion)} characters: at most {self.count.allowance.characters}"
            )
        self.count.problem(name)
        grade = self._grading(self.problems[name], completion, truncated)
        return {"parts": dict(grade.parts), "valid": grade.valid, "correct": grade.correct}


def serve(control: socket.socket, notices: int) -> None:
    """Serve trainers until the control socket closes.

    Args:
        notices: the pipe that says who was cut off.
    """
    names: dict[Client, str] = {}
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ, None)
    while True:
        for key, ready in selector.select():
            if key.data is None:
                client = _welcome(control, names)
                if client is False:
                    return
                if isinstance(client, Client):
                    selector.register(client.stream, selectors.EVENT_READ, client)
                continue
            client = key.data
            if ready & selectors.EVENT_READ:
                client.receive()
            going = client.work()
            if client.flood is not None and client in names:
                with suppress(OSError):  # nobody reads them: the error line must do
                    os.write(notices, json.dumps({"name": names.pop(client), "cause": client.flood}).encode() + b"\n")
            if going:
                event = selectors.EVENT_WRITE if client.outgoing else selectors.EVENT_READ
                selector.modify(client.stream, event, client)
            else:
                names.pop(client, None)
                selector.unregister(client.stream)
                client.stream.close()


def _welcome(control: socket.socket, names: dict[Client, str]) -> Client | bool | None:
    """Take in one trainer and its name; None if the message was unusable, False at the end of the control socket."""
    try:
        data, descriptors, _, _ = socket.recv_fds(control, MAX_MESSAGE, 8)
    except OSError:
        return False
    streams = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    if not data:
        return False
    client: Client | None = None
    answer: dict[str, Any] = {"ok": True}
    try:
        request = json.loads(data)
        if request.get("op") != "client" or len(streams) != 1:
            raise PoiseError("a control message is op 'client' with one socket")
        tasks = load_taskset(request["taskset"], request.get("options"))
        allowance = Allowance(**request["allowance"])
        client = Client(streams[0], tasks, request["seed"], allowance, request["control"], request.get("scored"))
        names[client] = str(request["name"])
    except PoiseError as error:
        answer = {"ok": False, "error": str(error)}
    except Exception as error:
        answer = {
            "ok": False,
            "error": f"the grader cannot take this trainer: {type(error).__name__}: {error}",
        }
    if client is None:
        for stream in streams:
            stream.close()
    try:
        control.send(json.dumps(answer).encode())
    except OSError:
        return False
    return client


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere the closing control socket has to do."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)


def main() -> None:
    """Command line; see the head of this file."""
    parser = argparse.ArgumentParser(prog="engine.tasks.grader")
    parser.add_argument("--fd", type=int, required=True, help="the engine's SOCK_SEQPACKET socket")
    parser.add_argument("--notices", type=int, required=True, help="the pipe that says who was cut off")
    arguments = parser.parse_args()
    os.set_blocking(arguments.notices, False)
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the engine's to handle
    serve(socket.socket(fileno=arguments.fd), arguments.notices)


if __name__ == "__main__":
    main()
