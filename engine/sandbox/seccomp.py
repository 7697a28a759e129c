"""seccomp: system calls that candidate code never needs are refused by the kernel.

The filter is built once by libseccomp, before any fork; a child patches its own pid into it and loads it. Processes
cannot be started (threads can), so that there are no subprocesses, daemons or fork bombs; no socket can be made (the
one to the grader is there already); nobody else can be signalled, traced or read.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import tempfile
from functools import cache

PR_SET_SECCOMP = 22
_FILTER = 2
_CLONE_THREAD = 0x10000
_SETID_BITS = 0o6000
_MYSELF = 0x7E_AD_00_01
"""Stands for the child's own pid in the filter; no pid is that large."""
_TERMINAL = (0x5412, 0x541C, 0x5423)
"""TIOCSTI, TIOCLINUX, TIOCSETD: typing into somebody else's terminal."""

DENIED = (
    # the network, and sockets of this machine
    *("socket", "socketpair", "connect", "bind", "listen", "accept", "accept4"),
    # other processes
    *("fork", "vfork", "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise"),
    *("process_mrelease", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
    *("tkill", "kcmp", "get_robust_list", "move_pages", "migrate_pages"),
    # the tree of files as a whole
    *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount", "fsopen", "fsconfig"),
    *("fsmount", "fspick", "mount_setattr", "open_by_handle_at", "name_to_handle_at", "mknod", "mknodat", "quotactl"),
    *("swapon", "swapoff", "acct", "fanotify_init", "lookup_dcookie"),
    # the kernel
    *("bpf", "perf_event_open", "io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd"),
    *("keyctl", "add_key", "request_key", "init_module", "finit_module", "delete_module", "kexec_load"),
    *("kexec_file_load", "reboot", "syslog", "iopl", "ioperm", "modify_ldt", "vhangup", "personality"),
    # the clock and the machine's names
    *("settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname"),
    # other users
    *("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups"),
    "capset",
    # memory that outlives the process or escapes its limits
    *("shmget", "shmat", "shmctl", "msgget", "msgsnd", "msgctl", "semget", "semop", "semctl", "semtimedop"),
    *("mq_open", "mq_unlink", "memfd_secret"),
)
UNKNOWN = ("clone3", "openat2")
"""Answered as an old kernel would, so that the C library falls back on what can be looked into."""
NOT_ON_A_GPU = ("memfd_create",)
"""CUDA's driver makes such files; without one they are only memory that no limit of a process counts."""


@cache
def build(gpu: bool = False) -> bytes:
    """The filter as BPF.

    Raises:
        OSError: libseccomp or its binding is not there.
    """
    try:
        import pyseccomp as lib
    except (ImportError, RuntimeError, OSError) as error:
        raise OSError(f"libseccomp cannot be used: {error}") from None
    rules = lib.SyscallFilter(lib.ALLOW)
    refuse, unknown = lib.ERRNO(errno.EPERM), lib.ERRNO(errno.ENOSYS)
    for name in (*DENIED, *(() if gpu else NOT_ON_A_GPU)):
        rules.add_rule(refuse, name)
    for name in UNKNOWN:
        rules.add_rule(unknown, name)
    rules.add_rule(refuse, "clone", lib.Arg(0, lib.MASKED_EQ, _CLONE_THREAD, 0))
    for name in ("kill", "tgkill"):
        rules.add_rule(refuse, name, lib.Arg(0, lib.NE, _MYSELF))
    for name, place in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2)):
        for bit in (0o4000, 0o2000):
            rules.add_rule(refuse, name, lib.Arg(place, lib.MASKED_EQ, bit, bit))
    for request in _TERMINAL:
        # The kernel looks at the lower half of this argument alone.
        rules.add_rule(refuse, "ioctl", lib.Arg(1, lib.MASKED_EQ, 0xFFFFFFFF, request))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def load(program: bytes) -> None:
    """Put the filter on this process for good; it must have given up new privileges before.

    Raises:
        OSError: the kernel refuses.
    """
    program = patched(program, os.getpid())
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, _FILTER, ctypes.create_string_buffer(fprog, len(fprog)), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")


def patched(program: bytes, pid: int) -> bytes:
    """The filter with a pid in the place that stands for it."""
    words = [struct.unpack_from("HBBI", program, at) for at in range(0, len(program), 8)]
    return b"".join(struct.pack("HBBI", code, yes, no, pid if k == _MYSELF else k) for code, yes, no, k in words)
