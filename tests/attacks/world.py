"""The attacked world: an engine's stand-in, its files, sockets and neighbours, each with a canary on it."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.tasks.allowance import Allowance
from engine.tasks.grader_client import GraderClient, GraderProcess
from tests.attacks.answers import OPTIONS, SEED
from tests.attacks.attack import Attack, Job

ROOT = Path(__file__).resolve().parents[2]
CANDIDATES = Path(__file__).resolve().parent / "candidates"
CALLS = (
    *("openat", "openat2", "name_to_handle_at", "open_by_handle_at", "ptrace", "process_vm_readv", "unshare"),
    *("io_uring_setup", "bpf", "perf_event_open", "userfaultfd", "add_key", "pidfd_open", "pidfd_send_signal"),
)
ALLOWANCE = Allowance(requests=300, items=300, batch=16, group=8, characters=1000)
ARRIVAL_SECONDS = 0.05
"""How long a packet on the loopback may take."""


class World:
    """One world, mended after every attack. Attacked on behalf of an engine that trusts its jobs, or of ours.

    Args:
        base: an empty folder, best with a short path (Unix sockets).
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.secret = f"attacked-secret-{secrets.token_hex(8)}"
        self.held = f"attacked-held-{secrets.token_hex(8)}"
        self.run = base / "runs" / "own"
        self.other = self.run / "trials" / "other"
        self.packages, self.model = base / "site-packages", base / "model"
        self.pwned = base / "pwned"
        self.shm = Path(f"/dev/shm/attacked-{secrets.token_hex(4)}")
        self.trusting = False
        self._canaries = {
            base / "home/.ssh/id_ed25519": f"PRIVATE KEY {self.secret}",
            base / "home/.cache/huggingface/token": "hub",
            self.run / "archive.json": f"archive {self.secret}",
            base / "runs/elsewhere/archive.json": f"archive {self.secret}",
            self.other / "adapter/adapter_model.safetensors": f"weights {self.secret}",
            self.other / "score/job.json": f'{{"score_seed": "{self.secret}"}}',
            self.other / "scores.json": "{}",
            self.other / "result.json": f'{{"status": "done", "cause": null, "data": {{"x": "{self.secret}"}}}}',
            self.packages / "module.py": "x = 1\n",
            self.model / "model.safetensors": "base weights",
            self.shm: f"shared {self.secret}",
        }
        self._engine: subprocess.Popen[bytes] | None = None
        self._grader: GraderProcess | None = None
        self._numbers = _numbers()
        self._key = secrets.randbelow(1 << 30)
        self.mend()
        self._leaked = os.open(self.run / "archive.json", os.O_RDONLY)
        os.set_inheritable(self._leaked, True)
        self._listen()
        self._master, terminal = os.openpty()
        self.tty, self._terminal = os.ttyname(terminal), terminal
        os.set_blocking(terminal, False)

    def _listen(self) -> None:
        self._abstract = f"attacked-{secrets.token_hex(4)}"
        self._tcp, self._udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        self._tcp.bind(("127.0.0.1", 0))
        self._udp.bind(("127.0.0.1", 0))
        self._names = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        self._names[0].bind(f"\0{self._abstract}")
        self._names[1].bind(str(self.base / "engine.sock"))
        for listener in (self._tcp, *self._names):
            listener.listen()
            listener.setblocking(False)
        self._udp.setblocking(False)

    def job(self, attack: Attack) -> Job:
        """A fresh folder and a job for an attack; the secret is not in it."""
        name = f"a{attack.number:03}"
        folder = self.run / "trials" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        algorithm = self.run / "candidates" / f"{name}.py"
        algorithm.write_text((CANDIDATES / attack.candidate).read_text() if attack.candidate else "algorithm = None\n")
        self._canaries[algorithm] = algorithm.read_text()
        return {
            "id": name,
            "attack": attack.number,
            "folder": str(folder),
            "algorithm": str(algorithm),
            "home": str(self.base / "home"),
            "runs": str(self.base / "runs"),
            "run": str(self.run),
            "other": str(self.other),
            "packages": str(self.packages),
            "model": str(self.model),
            "pwned": str(self.pwned),
            "shm": str(self.shm),
            "engine": self.engine,
            "word": f"attack-{secrets.token_hex(4)}",
            "tcp": self._tcp.getsockname()[1],
            "udp": self._udp.getsockname()[1],
            "abstract": self._abstract,
            "path": str(self.base / "engine.sock"),
            "tty": self.tty,
            "key": self._key,
            "numbers": self._numbers,
            "trusting": self.trusting,
            **attack.fields,
        }

    @property
    def engine(self) -> int:
        """The pid of a process with a key in its environment, of the same user; a new one if it was killed."""
        if self._engine is None or self._engine.poll() is not None:
            environ = os.environ | {"ATTACKED_API_KEY": self.secret}
            self._engine = subprocess.Popen(["sleep", "3600"], env=environ, stdin=subprocess.DEVNULL)
            while b"sleep" not in Path(f"/proc/{self._engine.pid}/cmdline").read_bytes():
                time.sleep(0.001)  # it is still this Python
        return self._engine.pid

    def grader(self) -> socket.socket:
        """A trainer's connection to a real grader."""
        return self._connect(ALLOWANCE if not self.trusting else None)

    def _connect(self, allowance: Allowance | None) -> socket.socket:
        if self._grader is None:
            self._grader = GraderProcess(stderr=subprocess.DEVNULL)  # type: ignore[arg-type]
        return self._grader.connect("tiny", OPTIONS, SEED, allowance=allowance)

    def grader_fails(self) -> str | None:
        """Why another trainer gets no answers, if it does not."""
        try:
            with self._connect(None) as stream:
                stream.settimeout(10)
                return None if GraderClient(os.dup(stream.fileno())).prompts()[0] else "no prompts"
        except Exception as error:
            self._grader = None
            return f"the grader serves nobody any more: {error}"

    def harmed(self, job: Job) -> list[str]:
        """What has changed that should not have; what the listeners have heard."""
        found = [path.name for path, content in self._canaries.items() if not _holds(path, content)]
        if self._engine is not None and self._engine.poll() is not None:
            found.append("the engine was killed")
        if (self.packages / "planted.pth").exists():
            found.append("site-packages")
        if self.pwned.exists():
            found.append("a file outside")
        return found + self._heard(job["word"].encode())

    def _heard(self, word: bytes) -> list[str]:
        found = []
        for name, listener in zip(
            ("TCP", "the abstract socket", "the control socket"), (self._tcp, *self._names), strict=True
        ):
            with suppress(BlockingIOError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.settimeout(1)
                        with suppress(OSError):
                            if word in connection.recv(100):
                                found.append(f"{name} heard it")
        self._udp.settimeout(ARRIVAL_SECONDS)
        with suppress(TimeoutError, BlockingIOError):
            if word in self._udp.recv(100):
                found.append("UDP heard it")
        with suppress(BlockingIOError):
            if word in os.read(self._terminal, 1000):
                found.append("the terminal was typed into")
        return found

    def mend(self) -> None:
        """Every canary as it was."""
        for path, content in self._canaries.items():
            if not _holds(path, content):
                path.unlink(missing_ok=True)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
        (self.run / "candidates").mkdir(exist_ok=True)
        for path in (self.packages / "planted.pth", self.pwned, self.run / "archive.old"):
            path.unlink(missing_ok=True)
        for path in (Path("/dev/shm/attacked-left"), Path("/tmp/attacked-left")):
            path.unlink(missing_ok=True)

    def in_log(self, result: Mapping[str, Any]) -> str | None:
        """Whether the secret was printed."""
        for path in Path(result["folder"]).glob("*.log"):
            if self.secret.encode() in path.read_bytes():
                return "printed"
        return None

    def touched_later(self, result: Mapping[str, Any]) -> str | None:
        """Whether something writes in the job's folder although the job has ended."""
        until = time.monotonic() + 0.8
        while time.monotonic() < until:
            if Path(result["folder"], "later").exists():
                return "it wrote after its end"
            time.sleep(0.05)
        return None

    def core_in(self, result: Mapping[str, Any]) -> str | None:
        """Whether there is a core dump."""
        return "a core dump" if list(Path(result["folder"]).glob("core*")) else None

    def close(self) -> None:
        """End all there is, and remove what lies elsewhere."""
        if self._engine is not None:
            self._engine.kill()
            self._engine.wait()
        if self._grader is not None:
            self._grader.close()
        for listener in (self._tcp, self._udp, *self._names):
            listener.close()
        for handle in (self._master, self._terminal, self._leaked):
            os.close(handle)
        self.shm.unlink(missing_ok=True)
        shutil.rmtree(self.run / "trials", ignore_errors=True)


def _holds(path: Path, content: str) -> bool:
    try:
        return not path.is_symlink() and path.read_text() == content
    except OSError:
        return False


def _numbers() -> dict[str, int]:
    """Numbers of system calls here."""
    import pyseccomp

    return {name: int(pyseccomp.resolve_syscall(pyseccomp.system_arch(), name)) for name in CALLS}


assert sys.platform == "linux", "the sandbox is Linux's"
