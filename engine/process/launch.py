"""Launching: the only place that starts a process which imports candidate code.

    launcher = Launcher()
    child = await launcher.spawn(job, grader_socket)
    exit = await child.wait()

Every child gets a scrubbed environment, a session and process group of its own, limits, its folder as
working directory, and no open files but its log and the grader's socket; it dies with the fork server,
which dies with the engine.
"""

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from engine.errors import PoiseError
from engine.process.child import Job
from engine.process.identity import start_time
from engine.profiles.models_folder import models_folder
from engine.sandbox import bubblewrap
from engine.sandbox.layers import Sandbox

TRAINER_IMPORTS = ("torch", "transformers", "peft", "trl", "trl.trainer.grpo_trainer", "safetensors.torch")
"""What the fork server imports before the first job: all that is slow in a trainer's start."""

ALLOWED_ENVIRONMENT = (
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    *(
        "LD_LIBRARY_PATH",
        "CUDA_HOME",
        "CUDA_VISIBLE_DEVICES",
        "NVIDIA_VISIBLE_DEVICES",
        "HF_HOME",
        "HF_HUB_CACHE",
    ),
)
"""All that a child may see of the engine's environment."""

FIXED_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "PYTHONHASHSEED": "0",  # the order of sets is part of a run's determinism
    "PYTHONUNBUFFERED": "1",  # a killed child's last words are in its log
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow's allocator starts a thread at import, else
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # "is there a GPU?" must not initialise CUDA before the fork
}


IMPORT_SECONDS = 180.0
"""How long the fork server may import; on a slow disk the first time takes a minute."""
FORK_SECONDS = 30.0
"""How long it may take to fork; it does so in milliseconds."""
REAP_SECONDS = 10.0
"""How long it may take to tell that a killed child has ended."""

GONE = "the fork server died before it could start the job; try again"


@dataclass(frozen=True)
class Exit:
    """How a child ended: its exit code, or the signal that ended it; neither if the fork server died too."""

    code: int | None
    signal: int | None
    cpu_seconds: float
    max_rss_mb: float
    wall_seconds: float


class Child:
    """A running job."""

    def __init__(self, job: Job, pid: int, started: int | None, give_up: Callable[[], None] = lambda: None) -> None:
        """
        Args:
            job: what it works on.
            pid: its process, which leads a group of its own; 0 if it had ended before that could be found out.
            started: when that process started, see `engine.process.identity.start_time`; None if it had ended.
            give_up: ends a fork server that no longer tells of its children's ends.
        """
        self.job = job
        self.pid = pid
        self._start_time = started
        self._give_up = give_up
        self._begun = time.monotonic()
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    async def wait(self, timeout: float | None = None) -> Exit:
        """How it ended. Raises TimeoutError if it still runs after `timeout` seconds (monotonic clock)."""
        return await asyncio.wait_for(asyncio.shield(self._exit), timeout)

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Signal its whole process group; nothing happens if it has ended."""
        # A pid may be a stranger's by now: the start time tells. If the child itself is gone, its group
        # may still hold what it started, and keeps the number from being reused.
        if self.pid and not self._exit.done() and start_time(self.pid) in (self._start_time, None):
            with suppress(ProcessLookupError):
                try:
                    os.killpg(self.pid, sig)
                except ProcessLookupError:  # too young to have a group of its own, or long gone
                    os.kill(self.pid, sig)

    async def stop(self, grace: float) -> Exit:
        """Ask it to end, kill it after `grace` seconds, and wait until it is gone; all for its whole group."""
        self.kill(signal.SIGTERM)
        try:
            return await self.wait(grace)
        except TimeoutError:
            return await self.end()

    async def end(self) -> Exit:
        """Kill it and wait until it is gone; a fork server that does not tell so is killed too, with all it started."""
        self.kill()
        try:
            return await self.wait(REAP_SECONDS)
        except TimeoutError:
            self._give_up()
            return await self.wait()

    def ended(self, code: int | None, sig: int | None, cpu_seconds: float = 0.0, max_rss_mb: float = 0.0) -> None:
        """Called by the launcher when the fork server reports the end."""
        if not self._exit.done():
            wall = time.monotonic() - self._begun
            self._exit.set_result(Exit(code, sig, cpu_seconds, max_rss_mb, wall))


class Launcher:
    """Starts children through a fork server, which it starts when first needed and again when it died."""

    def __init__(
        self,
        preload: Sequence[str] = TRAINER_IMPORTS,
        *,
        sandbox: Sandbox | None,
        allow_calls: bool = False,
        log: Path | None = None,
        import_seconds: float = IMPORT_SECONDS,
        fork_seconds: float = FORK_SECONDS,
        lasting_thread: bool = False,
    ) -> None:
        """
        Args:
            preload: modules that the fork server imports.
            sandbox: what children are put into; None: nothing but limits, for tests of the machinery alone.
            allow_calls: also run jobs of kind `call:module:function` (for tests).
            log: file for the fork server's own complaints; None: this process's stderr.
            import_seconds: after which a fork server that still imports is killed.
            fork_seconds: after which one that was asked for a child and gave none is killed.
            lasting_thread: the calling thread is not the main one, but lasts as long as this process.
        """
        self._preload = tuple(preload)
        self.sandbox = sandbox
        self._allow_calls = allow_calls
        self._log = log
        self._import_seconds = import_seconds
        self._fork_seconds = fork_seconds
        self._lasting_thread = lasting_thread
        self._server: _Server | None = None
        self._starting = asyncio.Lock()
        self._numbers = itertools.count(1)

    async def start(self) -> float:
        """Start the fork server unless it runs, and wait until it has imported everything.

        Returns:
            how many seconds its imports took.

        Raises:
            PoiseError: it could not import something, or hangs.
        """
        return await (await self._running_server()).started(self._import_seconds)

    async def spawn(self, job: Job, grader_socket: socket.socket | None = None) -> Child:
        """Start a job's process.

        Args:
            job: a job as in docs/architecture.md; its folder must exist and be absolute.
            grader_socket: a connection that the child finds at `job["grader_fd"]`; the caller closes its own.

        Raises:
            PoiseError: the fork server cannot start, refused to fork, or hangs.
        """
        server = await self._running_server()
        await server.started(self._import_seconds)
        return await server.spawn(next(self._numbers), job, grader_socket, self._fork_seconds)

    def running(self) -> dict[int, str]:
        """Pids of the running children and the ids of their jobs; safe to call from any thread."""
        server = self._server
        return {child.pid: child.job["id"] for child in list(server.children.values())} if server else {}

    @property
    def server_pid(self) -> int | None:
        """The fork server's pid while it runs."""
        return self._server.pid if self._server is not None and self._server.alive else None

    async def close(self) -> None:
        """End the fork server and with it all children."""
        if self._server is not None:
            await self._server.close()
            self._server = None

    async def _running_server(self) -> "_Server":
        async with self._starting:
            if self._server is None or not self._server.alive:
                # The kernel's "parent died" signal fires when the *thread* that started the process ends.
                if threading.current_thread() is not threading.main_thread() and not self._lasting_thread:
                    raise RuntimeError("start the fork server from the main thread")
                self._server = _Server(self._preload, self.sandbox, self._allow_calls, self._log)
            return self._server


class _Server:
    """The engine's end of one fork server."""

    def __init__(self, preload: Sequence[str], sandbox: Sandbox | None, allow_calls: bool, log: Path | None) -> None:
        loop = asyncio.get_running_loop()
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        wrapped = sandbox is not None and "namespaces" in sandbox.layers
        options = {
            # Inside bubblewrap the engine has no pid, and bubblewrap itself sees to it that all dies with the engine.
            "engine": None if wrapped else os.getpid(),
            "preload": preload,
            "sandbox": None if sandbox is None else sandbox.document(),
            "allow_calls": allow_calls,
        }
        command = [
            *(bubblewrap.command(bubblewrap.find() or "bwrap", sandbox) if sandbox is not None and wrapped else ()),
            sys.executable,
            "-P",
            "-m",
            "engine.process.forkserver",
            str(theirs.fileno()),
            json.dumps(options),
        ]
        with theirs, open(log, "ab") if log is not None else open(os.dup(2), "ab") as errors:
            self._process = subprocess.Popen(
                command,
                env=clean_environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.alive = True
        self._begun = time.monotonic()
        self.ready: asyncio.Future[float] = loop.create_future()
        self.children: dict[int, Child] = {}
        self._spawning: dict[int, tuple[Job, asyncio.Future[Child]]] = {}
        self._sending = asyncio.Lock()
        self._reader = loop.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    async def started(self, seconds: float) -> float:
        """Wait for its imports, at most until `seconds` after its start. Raises PoiseError if they fail or hang."""
        left = self._begun + seconds - time.monotonic()
        try:
            # Shielded: one who gives up waiting must not cancel it for all.
            return await asyncio.wait_for(asyncio.shield(self.ready), max(left, 0.0))
        except TimeoutError:
            self._fail(f"the fork server did not start within {seconds:g} s")
            self.kill()
            raise PoiseError(f"the fork server did not start within {seconds:g} s") from None

    def kill(self) -> None:
        """End it now; that it died is noticed by the reader, as ever."""
        self._process.kill()
        with suppress(OSError):  # a process of its own may hold the other end open
            self._socket.shutdown(socket.SHUT_RDWR)

    async def spawn(self, number: int, job: Job, grader_socket: socket.socket | None, seconds: float) -> Child:
        request = {"op": "spawn", "spawn": number, "grader": grader_socket is not None}
        future: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        self._spawning[number] = (job, future)
        try:
            async with asyncio.timeout(seconds):
                with _sealed(job) as words:
                    attached = [words.fileno()] + ([] if grader_socket is None else [grader_socket.fileno()])
                    await self._send(json.dumps(request).encode() + b"\n", attached)
                return await future
        except TimeoutError:
            self.kill()  # a child that comes all the same meets a future that is done, and is killed
            raise PoiseError(f"the fork server started no process within {seconds:g} s; try again") from None
        except OSError:
            self._spawning.pop(number, None)
            raise PoiseError(GONE) from None

    async def close(self) -> None:
        with suppress(OSError):  # it is gone already
            self._socket.shutdown(socket.SHUT_WR)
        # It kills all that is below it, what has left its group included, before it closes its end.
        done, _ = await asyncio.wait([self._reader], timeout=REAP_SECONDS)
        if not done:
            self.kill()
        await self._reader

    async def _send(self, data: bytes, attached: list[int]) -> None:
        loop = asyncio.get_running_loop()
        async with self._sending:
            # The descriptors travel with the first byte; a full buffer (the server lags) empties soon.
            while True:
                try:
                    socket.send_fds(self._socket, [data[:1]], attached)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0.01)
            await loop.sock_sendall(self._socket, data[1:])

    async def _receive(self, pidfds: list[int]) -> bytes:
        """The next bytes, and what descriptors came with them; nothing at the end."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._socket, 1 << 16, 16)
            except BlockingIOError:
                readable = asyncio.Event()
                loop.add_reader(self._socket, readable.set)
                try:
                    await readable.wait()
                finally:
                    loop.remove_reader(self._socket)
                continue
            pidfds += descriptors
            return data

    async def _read(self) -> None:
        buffer = b""
        pidfds: list[int] = []
        try:
            while data := await self._receive(pidfds):
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    message = json.loads(line)
                    self._handle(message, _host_pid(pidfds.pop(0)) if message["event"] == "started" else 0)
        except OSError:
            pass
        finally:
            for descriptor in pidfds:
                os.close(descriptor)
            self._died()

    def _handle(self, message: Mapping[str, Any], pid: int) -> None:
        match message["event"]:
            case "ready":
                if not self.ready.done():
                    self.ready.set_result(message["import_seconds"])
            case "failed":
                self._fail(f"the fork server cannot start: {message['cause']}")
            case "started":
                job, future = self._spawning.pop(message["spawn"])
                child = Child(job, pid, start_time(pid), self.kill)
                self.children[message["spawn"]] = child
                if future.done():  # whoever asked for it has given up
                    child.kill()
                else:
                    future.set_result(child)
            case "refused":
                _, future = self._spawning.pop(message["spawn"])
                if not future.done():
                    future.set_exception(PoiseError(message["cause"]))
            case "exited":
                child = self.children.pop(message["spawn"])
                child.ended(message["code"], message["signal"], message["cpu_seconds"], message["max_rss_mb"])

    def _fail(self, cause: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(PoiseError(cause))
            self.ready.exception()  # whoever awaits it gets it; if nobody does, that is no news

    def _died(self) -> None:
        self.alive = False
        self._socket.close()
        self._process.kill()  # it is ending anyway, or hangs
        self._process.wait()
        self._fail("the fork server died while it started; see the engine's log")
        for _, future in self._spawning.values():
            if not future.done():
                future.set_exception(PoiseError("the fork server died before it could start the job; try again"))
        self._spawning.clear()
        for child in self.children.values():
            child.kill()  # the kernel does so too, but not to what the child itself started
            child.ended(None, None)
        self.children.clear()


def _sealed(job: Job) -> BinaryIO:
    """A job's words for its child alone.

    What the fork server itself reads would stay in its memory, and so in that of every later child: the evaluation
    seed of a job that scores, for one.
    """
    file = open(os.memfd_create("job", os.MFD_CLOEXEC), "wb")  # noqa: SIM115 - the caller's to close
    file.write(json.dumps(job).encode())
    file.flush()
    return file


def _host_pid(pidfd: int) -> int:
    """The pid here of a process that another namespace may number otherwise; 0 if it is gone. Closes the descriptor."""
    try:
        for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
            if line.startswith("Pid:"):
                return max(int(line.split()[1]), 0)
        return 0
    finally:
        os.close(pidfd)


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of whatever may import candidate code: an allow-list, so that no key slips in."""
    clean = {name: environ[name] for name in ALLOWED_ENVIRONMENT if name in environ}
    # Children have another HOME; the models cached in the user's own must still be found.
    cache = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    clean.setdefault("HF_HOME", str(Path(cache) / "huggingface"))
    clean["POISE_MODELS"] = str(models_folder(environ))
    clean["USER"] = clean["LOGNAME"] = "poise"  # there may be no list of users where it runs
    # `-P` keeps the working directory off the import path; a checkout that is not installed must be named.
    root = Path(__file__).resolve().parents[2]
    if root.name not in ("site-packages", "dist-packages"):
        clean["PYTHONPATH"] = str(root)
    return clean | FIXED_ENVIRONMENT
