"""The judge: says by algebra whether an answer is right, in processes of its own, so that no answer hangs or ends us.

    python -P -m engine.tasks.math_judge --fd N

An answer is the work of a policy and may be anything, `9^{9^{9^9}}` included. The judge forks a worker with math-verify
already imported; the worker has a budget of processor time and memory that the kernel holds it to, so the one who asks
needs no signal handler and no main thread; after its death the next one is there in milliseconds. Lines each way on the
stream socket N: `["gold", "answer"]` -> `true`, `false` or `null` (not settled within the budget).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from engine.errors import PoiseError
from engine.process.module import start_module

MODULE = "engine.tasks.math_judge"
CPU_SECONDS = 2.0
"""Processor time of one answer: it means the same on a busy machine."""
WALL_SECONDS = 30.0
"""Time on the clock, for what waits and does not compute."""
WORKER_BYTES = 1 << 30
"""Address space that a worker may take beyond what it begins with."""
WORKER_ANSWERS = 2000
"""After so many a worker is replaced: sympy's caches only grow."""
START_SECONDS = 60.0


class Judge:
    """A connection to a judge process, started when first needed and again when it died; threads may share it.

    Args:
        cpu_seconds: processor time of one answer.
    """

    def __init__(self, cpu_seconds: float = CPU_SECONDS) -> None:
        self._cpu_seconds = cpu_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stream: socket.socket | None = None
        self._owner = 0

    def equal(self, gold: str, answer: str) -> bool:
        """Whether an answer is the gold; one that cannot be settled within the budget is not.

        Raises:
            PoiseError: no process can be started here.
        """
        with self._lock:
            for _ in range(2):  # a judge that was killed is started once more
                try:
                    return self._ask(gold, answer) is True
                except OSError:
                    self._drop()
        return False

    def close(self) -> None:
        """End the process and wait for it."""
        with self._lock:
            self._drop()

    def _ask(self, gold: str, answer: str) -> bool | None:
        stream = self._started()
        stream.sendall(json.dumps([gold, answer]).encode() + b"\n")
        verdict: bool | None = json.loads(_line(stream))
        return verdict

    def _started(self) -> socket.socket:
        if self._stream is not None and self._owner == os.getpid():
            return self._stream
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                arguments = ["--fd", str(theirs.fileno()), "--cpu-seconds", str(self._cpu_seconds)]
                self._process = start_module(MODULE, *arguments, pass_fds=[theirs.fileno()])
            except OSError as error:
                ours.close()
                raise PoiseError(f"answers are compared in a process of its own, which cannot start: {error}") from None
        ours.settimeout(START_SECONDS + WALL_SECONDS)
        self._stream, self._owner = ours, os.getpid()
        return ours

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
        self._process = self._stream = None


JUDGE = Judge()
"""This process's; a process that never needs one starts none."""


@cache
def _settings() -> tuple[Any, ...]:
    """LaTeX alone, whole, with its units: bare expressions would be looked for in prose, and `6m` would be 6."""
    from latex2sympy2_extended import NormalizationConfig
    from math_verify.parser import LatexExtractionConfig

    reading = NormalizationConfig(basic_latex=True, malformed_operators=True, nits=True, boxed="none")
    return (LatexExtractionConfig(boxed_match_priority=-1, normalization_config=reading),)


def compare(gold: str, answer: str) -> bool:
    """Whether two plain answers (see `engine.tasks.math_answers`) are equal, by math-verify; any text will do.

    The gold stands in dollar signs, or it would be read wrongly. Numbers are compared here: math-verify rounds to six
    places, and takes 8e-19 for 1e-20. There is no limit of time in here.
    """
    from math_verify import parse, verify

    settings = list(_settings())
    try:
        golds, answers = (
            [_named(found) for found in parse(f"${text}$", settings, parsing_timeout=None)] for text in (gold, answer)
        )
        if not golds or not answers:
            return False
        same = _numbers(golds[0], answers[0])
        if same is not None:
            return same
        return bool(verify(golds, answers, timeout_seconds=None))
    except (Exception, RecursionError):
        return False


def _named(found: object) -> object:
    """An expression whose symbols of one name are one symbol, and `i` the imaginary unit.

    The parser gives a symbol assumptions by what stands beside it: in "9i" and "9 i" it would be two.
    """
    import sympy

    if not isinstance(found, sympy.Basic | sympy.MatrixBase):
        return found
    symbols = {s: sympy.I if s.name == "i" else sympy.Symbol(s.name) for s in found.free_symbols}
    return found.xreplace(symbols)


def _numbers(gold: object, answer: object) -> bool | None:
    """Whether two numbers are equal, to `TOLERANCE` where one holds a decimal; None where either is no number."""
    import sympy

    from engine.tasks.math_answers import TOLERANCE

    if not (isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr) and gold.is_number and answer.is_number):
        return None
    right, given = sympy.N(gold, 30), sympy.N(answer, 30)
    if not (right.is_finite and given.is_finite):
        return bool(right == given)
    decimal = gold.has(sympy.Float) or answer.has(sympy.Float)
    whole = right.is_real and abs(right - sympy.floor(right)) < sympy.Float("1e-25", 30)  # 625.0 too; == is never true
    loose = decimal and not whole
    bound = sympy.Rational(TOLERANCE.numerator, TOLERANCE.denominator) if loose else sympy.Float("1e-20", 30)
    return bool(abs(right - given) <= abs(right) * bound)


def _line(stream: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        piece = stream.recv(1 << 16)
        if not piece:
            raise OSError("closed")
        data += piece
    return data


def serve(client: socket.socket, cpu_seconds: float) -> None:
    """Answer until the client closes its end."""
    worker: tuple[int, socket.socket] | None = None
    left = 0
    lines = client.makefile("rb")
    for line in lines:
        if worker is None or left == 0:
            if worker is not None:
                _end(*worker)
            worker, left = _fork(client, cpu_seconds), WORKER_ANSWERS
        left -= 1
        answer = _relay(worker[1], client, line)
        if answer is None:
            _end(*worker)
            worker = None
        client.sendall(answer or b"null\n")
    if worker is not None:
        _end(*worker)


def _relay(worker: socket.socket, client: socket.socket, line: bytes) -> bytes | None:
    """The worker's answer to a line; None if it died over it or takes too long. Raises OSError: the client is gone."""
    try:
        worker.sendall(line)
    except OSError:
        return None
    ready, _, _ = select.select([worker, client], [], [], WALL_SECONDS)
    if worker in ready:
        try:
            return _line(worker)
        except OSError:
            return None
    if client in ready and not client.recv(1, socket.MSG_PEEK):
        raise OSError("the client is gone")
    return None


def _fork(client: socket.socket, cpu_seconds: float) -> tuple[int, socket.socket]:
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    try:
        ours.close()
        client.close()
        _work(theirs, cpu_seconds)
    finally:
        os._exit(0)


def _end(pid: int, stream: socket.socket) -> None:
    stream.close()
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _work(stream: socket.socket, cpu_seconds: float) -> None:
    """A worker's life: the kernel ends it when an answer takes more than its processor time."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + WORKER_BYTES, mapped + WORKER_BYTES))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for line in stream.makefile("rb"):
        gold, answer = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        verdict = compare(gold, answer)
        signal.setitimer(signal.ITIMER_PROF, 0)
        stream.sendall(json.dumps(verdict).encode() + b"\n")


def main() -> None:
    """Command line; see the head of this file."""
    import logging
    import warnings

    parser = argparse.ArgumentParser(prog="engine.tasks.math_judge")
    parser.add_argument("--fd", type=int, required=True, help="the client's stream socket")
    parser.add_argument("--cpu-seconds", type=float, required=True, help="of one answer")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    for text in (r"\frac{1}{2}", r"x^2 + \sqrt{3}"):  # parsers are built on first use: in here, not in every worker
        compare(text, text)
    with suppress(OSError):
        serve(socket.socket(fileno=arguments.fd), arguments.cpu_seconds)


if __name__ == "__main__":
    main()
