"""The fork server: a single-threaded process that has imported the heavy libraries and forks a child per job.

Importing TRL takes seconds; a fork of a process that has done it takes milliseconds. Forking is only safe
while there is exactly one thread, so this is verified before every fork.

It is started by `engine.process.launch` as `python -P -m engine.process.forkserver FD OPTIONS` and speaks
JSON lines over the socket FD:

    <- {"op": "spawn", "spawn": n, "grader": bool}                    (attached: the job's words, the grader's socket)
    -> {"event": "ready", "threads": 1, "import_seconds": s}
    -> {"event": "failed", "cause": line}                             (instead of ready)
    -> {"event": "started", "spawn": n}                               (with a pidfd of the child attached)
    -> {"event": "refused", "spawn": n, "cause": line}                (instead of started)
    -> {"event": "exited", "spawn": n, "code": c|null, "signal": s|null, "cpu_seconds": s, "max_rss_mb": m}

It ends, and kills every process below it, when its engine dies or closes the socket.
"""

import ctypes
import errno
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from engine.process import child
from engine.process.limits import Limits, apply
from engine.sandbox import seccomp
from engine.sandbox.apply import confine
from engine.sandbox.layers import Sandbox

GRADER_FD = 3
"""Where a child finds its connection to the grader."""

Confine = Callable[[child.Job], None]
"""What a fresh child does to itself before it runs its job."""

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def die_with_parent(parent: int, sig: signal.Signals) -> None:
    """Be sent `sig` when the parent ends; exit now if it has ended already."""
    prctl(PR_SET_PDEATHSIG, sig)
    if os.getppid() != parent:
        os._exit(1)


def prctl(option: int, value: int) -> None:
    """prctl(2). Raises OSError."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def threads() -> list[str]:
    """Names of this process's threads."""
    names = []
    for task in os.listdir("/proc/self/task"):
        with suppress(OSError):  # ended meanwhile
            names.append(Path(f"/proc/self/task/{task}/comm").read_text().strip())
    return names


def children(pid: int) -> set[int]:
    """Direct children of a single-threaded process; none where the kernel does not list them."""
    try:
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return set()


class ForkServer:
    """Forks children, waits for them, and leaves no process of theirs behind."""

    def __init__(self, connection: socket.socket, confine: Confine, allow_calls: bool) -> None:
        self._connection = connection
        self._confine = confine
        self._allow_calls = allow_calls
        self._buffer = b""
        self._descriptors: list[int] = []
        self._children: dict[int, tuple[int, int]] = {}  # pidfd -> (pid, spawn number)
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def serve(self) -> None:
        """Work until the engine closes the socket."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._children:
                    self._reap(descriptor)
                elif not self._receive():
                    return

    def end(self) -> None:
        """Kill every process below this one."""
        for pid, _ in self._children.values():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self._children.clear()
        self._kill_strays()

    def report(self, **fields: Any) -> None:
        """Send one line to the engine; an engine that is gone is noticed by `serve`."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._connection.sendall(json.dumps(fields).encode() + b"\n")

    def _receive(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._connection, 1 << 16, 16)
        if not data:
            return False
        self._descriptors += descriptors
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            words = self._descriptors.pop(0)
            grader = self._descriptors.pop(0) if request["grader"] else None
            self._spawn(request["spawn"], words, grader)
            for descriptor in (words, grader):
                if descriptor is not None:
                    os.close(descriptor)
        return True

    def _spawn(self, number: int, words: int, grader: int | None) -> None:
        if len(running := threads()) != 1:
            self.report(event="refused", spawn=number, cause=f"the fork server has threads: {', '.join(running)}")
            return
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self.report(event="refused", spawn=number, cause=f"fork: {error.strerror}")
            return
        if pid == 0:
            self._children.clear()
            become_child(words, server, grader, self._confine, self._allow_calls)
        # The child cannot vanish before it is reaped here, so both of these see it even if it has ended.
        descriptor = os.pidfd_open(pid)
        self._children[descriptor] = (pid, number)
        self._poll.register(descriptor, select.POLLIN)
        # Its pid may be another one where the engine looks.
        with suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._connection, [b'{"event": "started", "spawn": %d}\n' % number], [descriptor])

    def _reap(self, descriptor: int) -> None:
        pid, number = self._children.pop(descriptor)
        self._poll.unregister(descriptor)
        os.close(descriptor)
        # Until it is reaped its pid, and so its group's id, cannot be reused: what it left running goes now.
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        self._kill_strays()
        code = os.waitstatus_to_exitcode(status)
        self.report(
            event="exited",
            spawn=number,
            code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            max_rss_mb=usage.ru_maxrss / 1024,
        )

    def _kill_strays(self) -> None:
        """Kill what a child moved out of its group: orphans come to this process, their subreaper."""
        known = {pid for pid, _ in self._children.values()}
        while strays := children(os.getpid()) - known:
            for pid in strays:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def become_child(words: int, server: int, grader: int | None, confine: Confine, allow_calls: bool) -> NoReturn:
    """Turn a fresh fork into a job's own limited process, run the job, and exit. Never returns."""
    code = 1
    try:
        die_with_parent(server, signal.SIGKILL)
        # Read here, never in the fork server: its memory is inherited by the children of other candidates.
        job: child.Job = json.loads(os.pread(words, os.fstat(words).st_size, 0))
        # A termination request ends a job at once: what it keeps is its last checkpoint.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()
        Path("/proc/self/comm").write_text(f"poise-{job['kind']}"[:15])  # what top shows
        os.chdir(job["folder"])
        redirect_output(child.log_name(job["kind"]))
        keep_only_standard_files(grader)
        scratch = os.path.join(job["folder"], "tmp")
        os.makedirs(scratch, exist_ok=True)
        os.environ.update(HOME=job["folder"], TMPDIR=scratch, TORCHINDUCTOR_CACHE_DIR=scratch)
        sys.dont_write_bytecode = True
        apply(Limits.of(job))
        confine(job)
        code = child.run(job if grader is None else {**job, "grader_fd": GRADER_FD}, allow_calls)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            code = child.NO_SPACE_EXIT
        with suppress(BaseException):
            print(f"the child could not run its job: {error!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def confinement(sandbox: Sandbox | None) -> Confine:
    """The layers that children put on themselves; made ready once, since building a filter takes time."""
    if sandbox is None:
        return lambda job: None
    gpu = bool(sandbox.devices)
    programs = {s: seccomp.build(gpu, s) for s in {False, sandbox.samplers}} if "seccomp" in sandbox.layers else {}
    return lambda job: confine(sandbox, job, programs.get(sandbox.samples(job["kind"])))


def redirect_output(log: str) -> None:
    """Read nothing; print into the job's log."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o666)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)


def keep_only_standard_files(grader: int | None) -> None:
    """Close everything but stdin, stdout, stderr and the grader's socket, which moves to its known place."""
    if grader is not None and grader != GRADER_FD:
        os.dup2(grader, GRADER_FD, inheritable=False)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > (2 if grader is None else GRADER_FD):
            with suppress(OSError):
                os.close(int(name))


def main(arguments: Sequence[str]) -> int:
    """Import, report, serve."""
    options = json.loads(arguments[1])
    # On SIGTERM (the engine died, or asks) unwind through `end`; a second one must not cut that short.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if options["engine"] is not None:
        die_with_parent(options["engine"], signal.SIGTERM)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    sandbox = Sandbox.read(options["sandbox"]) if options["sandbox"] else None
    server = ForkServer(socket.socket(fileno=int(arguments[0])), confinement(sandbox), options["allow_calls"])
    begun = time.monotonic()
    try:
        for name in options["preload"]:
            importlib.import_module(name)
    except Exception as error:
        server.report(event="failed", cause=child.one_line(f"{type(error).__name__}: {error}"))
        return 1
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    # What is imported now is shared with every child: the collector must not touch it there.
    gc.collect()
    gc.freeze()
    if len(running := threads()) != 1:
        server.report(event="failed", cause=f"the imports started threads: {', '.join(running)}")
        return 1
    server.report(event="ready", threads=1, import_seconds=time.monotonic() - begun)
    try:
        server.serve()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        server.end()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
