"""Attacks that read what is not theirs: keys, answers, other runs, other processes."""

from __future__ import annotations

import ctypes
import os
import re
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.attacks.attack import ENGINE, Job, attack, first_of, own, syscall, text

AT_FDCWD = -100
_KEPT: list[str] = []
PTRACE_ATTACH, PTRACE_DETACH = 16, 17


@attack(1, "read an SSH key")
def ssh_key(job: Job) -> str:
    return text(f"{job['home']}/.ssh/id_ed25519")


@attack(2, "read an API key from the environment", nothing="environment")
def environment(job: Job) -> str | None:
    inherited = text("/proc/self/environ").replace("\0", "\n") + "\n".join(f"{k}={v}" for k, v in os.environ.items())
    found = re.search(r"ATTACKED_API_KEY=\S+", inherited)
    return found[0] if found else None


@attack(3, "read the engine's environment in /proc")
def engines_environment(job: Job) -> str | None:
    return _with_key(text(f"/proc/{job['engine']}/environ"))


@attack(10, "read the answers: the evaluation seed in another trial's scoring job", nothing="landlock")
def answers(job: Job) -> str:
    return text(f"{job['other']}/score/job.json")


@attack(11, "read a key by way of a symbolic link")
def by_link(job: Job) -> str:
    link = own(job, "innocent.txt")

    def linked() -> str:
        link.symlink_to(f"{job['home']}/.ssh/id_ed25519")
        return text(link)

    return str(first_of(linked, lambda: text(f"{job['folder']}/../../../../home/.ssh/id_ed25519")))


@attack(12, "read a key by another program")
def by_program(job: Job) -> str:
    return subprocess.run(["cat", f"{job['home']}/.ssh/id_ed25519"], check=False, capture_output=True, text=True).stdout


@attack(13, "read a key by a raw system call")
def by_system_call(job: Job) -> str:
    path = ctypes.c_char_p(f"{job['home']}/.ssh/id_ed25519".encode())
    handle = syscall(job, "openat", AT_FDCWD, path, os.O_RDONLY, 0)
    return os.read(handle, 4096).decode()


@attack(15, "trace the engine (ptrace)")
def trace(job: Job) -> str:
    syscall(job, "ptrace", PTRACE_ATTACH, job["engine"], 0, 0)
    os.waitpid(job["engine"], 0x40000000)
    syscall(job, "ptrace", PTRACE_DETACH, job["engine"], 0, 0)
    return "attached"


@attack(27, "read the memory of the engine, and of the parent (/proc/PID/mem, process_vm_readv)")
def memory(job: Job) -> str | None:
    found: str | None = first_of(
        lambda: _with_key(_stack_by_mem(job["engine"])),
        lambda: _with_key(_stack_by_call(job, job["engine"])),
        lambda: _stack_by_call(job, os.getppid()) and "the parent's memory",
        lambda: _stack_by_mem(os.getppid()) and "the parent's memory",
    )
    return found


@attack(96, "write into the memory of the parent, to run there outside of its own layers")
def parents_memory(job: Job) -> str:
    _, end = _stack(os.getppid())
    with open(f"/proc/{os.getppid()}/mem", "r+b", buffering=0) as memory:
        memory.seek(end - 8)
        last = memory.read(1)
        memory.seek(end - 8)
        memory.write(last)  # what is there already: harmless
    return "written"


@attack(29, "list and read other runs")
def other_runs(job: Job) -> str:
    folder = Path(job["runs"])
    return "\n".join(text(path / "archive.json") for path in folder.iterdir() if path.name != "own")


@attack(34, "copy a better candidate's weights", nothing="landlock")
def better_weights(job: Job) -> str:
    own(job, "adapter").mkdir()
    weights = text(f"{job['other']}/adapter/adapter_model.safetensors")
    own(job, "adapter", "adapter_model.safetensors").write_text(weights)
    return weights


@attack(41, "reach files through another process's root or working folder in /proc")
def by_roots(job: Job) -> str:
    key = f"{job['home']}/.ssh/id_ed25519"
    roots = ("self", "1", str(os.getppid()), str(job["engine"]), "thread-self")
    return str(first_of(*(lambda r=r: text(f"/proc/{r}/root{key}") for r in roots), lambda: _by_folders(job)))


@attack(42, "openat2 on magic links")
def by_openat2(job: Job) -> str:
    how = ctypes.create_string_buffer(struct.pack("QQQ", os.O_RDONLY, 0, 0))
    target = ctypes.c_char_p(f"/proc/self/root{job['home']}/.ssh/id_ed25519".encode())
    return os.read(syscall(job, "openat2", AT_FDCWD, target, how, 24), 4096).decode()


@attack(43, "open files by handle, past all paths (open_by_handle_at)")
def by_handle(job: Job) -> str:
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128))
    mount = ctypes.c_int()
    key = ctypes.c_char_p(f"{job['home']}/.ssh/id_ed25519".encode())
    syscall(job, "name_to_handle_at", AT_FDCWD, key, handle, ctypes.byref(mount), 0)
    here = os.open(job["home"], os.O_RDONLY)
    return os.read(syscall(job, "open_by_handle_at", here, handle, os.O_RDONLY), 4096).decode()


@attack(44, "use descriptors that the engine left open", nothing=ENGINE)
def inherited(job: Job) -> str | None:
    for handle in range(3, 1024):
        with suppress(OSError):
            link = os.readlink(f"/proc/self/fd/{handle}")
            if "archive" in link or "key" in link:
                return f"{link}: {os.pread(handle, 4096, 0).decode()}"
    return None


def remember(job: Job) -> None:
    """Has a secret in its job, and keeps it: a worker that is used again still has it."""
    _KEPT.append(job["held"])


def recall(job: Job) -> str | None:
    """Looks for it in the memory it was born with; put together, so that this very code does not hold it."""
    wanted = b"attacked" + b"-held-"
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in list(maps):
            span, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            begin, end = (int(x, 16) for x in span.split("-"))
            with suppress(OSError, ValueError, OverflowError):
                memory.seek(begin)
                if found := re.search(wanted + rb"[0-9a-f]{16}", memory.read(end - begin)):
                    return found[0].decode()
    return None


attack(45, "find words of an earlier job in the memory inherited from the fork server", follow=recall, nothing=ENGINE)(
    remember
)


@attack(
    46,
    "run a program out of memory (memfd_create, execveat)",
    nothing="namespaces",
    harm=lambda world, result: world.in_log(result),
)
def from_memory(job: Job) -> None:
    handle = os.memfd_create("program", 0)
    with open("/bin/cat", "rb") as program:
        os.write(handle, program.read())
    os.execve(handle, ["cat", f"{job['home']}/.ssh/id_ed25519"], {})


def _with_key(text: str) -> str | None:
    found = re.search(r"ATTACKED_API_KEY=[\w-]+", text)
    return found[0] if found else None


def _stack(pid: int) -> tuple[int, int]:
    """Where a process keeps its environment."""
    for line in text(f"/proc/{pid}/maps").splitlines():
        if line.endswith("[stack]"):
            begin, end = (int(x, 16) for x in line.split()[0].split("-"))
            return begin, end
    raise FileNotFoundError(2, "no stack")


def _stack_by_mem(pid: int) -> str:
    begin, end = _stack(pid)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(begin)
        return memory.read(end - begin).decode("latin1")


def _stack_by_call(job: Job, pid: int) -> str:
    begin, end = _stack(pid)
    data = ctypes.create_string_buffer(end - begin)
    ours = ctypes.create_string_buffer(struct.pack("PN", ctypes.addressof(data), end - begin))
    theirs = ctypes.create_string_buffer(struct.pack("PN", begin, end - begin))
    syscall(job, "process_vm_readv", pid, ours, 1, theirs, 1, 0)
    return data.raw.decode("latin1")


def _by_folders(job: Job) -> str:
    """Up and down again from folders that are open."""
    for handle in range(1024):
        with suppress(OSError):
            here = os.open("../" * 12 + f"{job['home']}/.ssh/id_ed25519".lstrip("/"), os.O_RDONLY, dir_fd=handle)
            return os.read(here, 4096).decode()
    raise PermissionError(13, "no folder leads there")
