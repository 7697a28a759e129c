"""seccomp: system calls that candidate code never needs are refused by the kernel.

The filter is built once by libseccomp, before any fork; a child patches its own pid into it and loads it. Processes
cannot be started (threads can), so that there are no subprocesses, daemons or fork bombs; no socket can be made (the
one to the grader is there already); nobody else can be signalled, traced or read.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import tempfile
from functools import cache

PR_SET_SECCOMP = 22
_FILTER = 2
_CLONE_FILES, _CLONE_THREAD = 0x400, 0x10000
_FAMILIES = 64
"""Of sockets; Linux knows fewer."""
_MYSELF = 0x7E_AD_00_01
"""Stands for the child's own pid in the filter; no pid is that large."""
_IOCTLS = (0x5412, 0x541C, 0x5423, 0x8901, 0x8902)
"""TIOCSTI, TIOCLINUX, TIOCSETD: typing into somebody else's terminal; FIOSETOWN, SIOCSPGRP: signals to others."""
_FCNTLS = (8, 10, 15, 1024, 1026)
"""F_SETOWN, F_SETSIG, F_SETOWN_EX: signals to others; F_SETLEASE, F_NOTIFY: whoever opens the file would wait."""
_PRCTLS = (1, 4, 36)
"""PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER: the fork server ends it, the engine looks at it."""

DENIED = (
    # the network, and sockets of this machine
    *("socket", "socketpair", "connect", "bind", "listen", "accept", "accept4"),
    # other processes
    *("fork", "vfork", "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise"),
    *("process_mrelease", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
    *("tkill", "kcmp", "get_robust_list", "move_pages", "migrate_pages", "ioprio_set"),
    # the tree of files as a whole
    *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount", "fsopen", "fsconfig"),
    *("fsmount", "fspick", "mount_setattr", "open_by_handle_at", "name_to_handle_at", "mknod", "mknodat", "quotactl"),
    *("swapon", "swapoff", "acct", "fanotify_init", "lookup_dcookie", "quotactl_fd", "sync", "syncfs"),
    # what Landlock does not know: others' files could be changed in all but their bytes, and watched
    *("chmod", "fchmod", "fchmodat", "chown", "lchown", "fchown", "fchownat"),
    *("utime", "utimes", "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr"),
    *("removexattr", "lremovexattr", "fremovexattr", "inotify_init", "inotify_init1", "inotify_add_watch"),
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
    *("shmget", "shmat", "shmctl", "msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop", "semctl", "semtimedop"),
    *("mq_open", "mq_unlink", "memfd_secret", "io_setup", "io_submit"),
)
_LATER = range(450, 600)
_KNOWN_LATER = (453, 454, 455, 456, 462)
"""map_shadow_stack, futex_wake, futex_wait, futex_requeue, mseal."""
UNKNOWN = ("clone3", "openat2", *(number for number in _LATER if number not in _KNOWN_LATER))
"""Answered as an old kernel would: the C library then falls back on what can be looked into. Also whatever Linux has
learnt since 5.17, or will learn (from 424 on all architectures number alike).
"""
OF_A_SAMPLER = ("fork", "vfork", "execve", "bind", "listen")
"""Allowed where a child holds vLLM: its kernels are compiled by programs, and a group of one process listens on the
loopback, which nobody can connect to. Only with namespaces: programs and network are then those inside.
"""
NOT_ON_A_GPU = ("memfd_create",)
"""CUDA's driver makes such files; without one they are only memory that no limit of a process counts."""


@cache
def build(gpu: bool = False, samplers: bool = False) -> bytes:
    """The filter as BPF.

    Args:
        gpu: CUDA is used.
        samplers: vLLM is.

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
        if not (samplers and name in (*OF_A_SAMPLER, "socket")):
            rules.add_rule(refuse, name)
    if samplers:
        for family in range(_FAMILIES):
            if family not in (socket.AF_INET, socket.AF_INET6):
                rules.add_rule(refuse, "socket", lib.Arg(0, lib.EQ, family))
        for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_RDM, socket.SOCK_SEQPACKET):
            rules.add_rule(refuse, "socket", lib.Arg(1, lib.MASKED_EQ, 0xF, kind))
        for name, place in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):  # a way to connect without connect
            rules.add_rule(refuse, name, lib.Arg(place, lib.MASKED_EQ, socket.MSG_FASTOPEN, socket.MSG_FASTOPEN))
    for call in UNKNOWN:
        rules.add_rule(unknown, call)
    for flag in (
        () if samplers else (_CLONE_THREAD, _CLONE_FILES)
    ):  # a thread's open files are its process's, where they are counted
        rules.add_rule(refuse, "clone", lib.Arg(0, lib.MASKED_EQ, flag, 0))
    for name in ("kill", "tgkill"):
        rules.add_rule(refuse, name, lib.Arg(0, lib.NE, _MYSELF))
    for name in ("prlimit64", "sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr"):
        rules.add_rule(refuse, name, lib.Arg(0, lib.NE, 0))  # 0: itself
    for place in (0, 1):
        rules.add_rule(refuse, "setpriority", lib.Arg(place, lib.NE, 0))
    for name, place, values in (("ioctl", 1, _IOCTLS), ("fcntl", 1, _FCNTLS), ("prctl", 0, _PRCTLS)):
        for value in values:
            # The kernel looks at the lower half of these arguments alone.
            rules.add_rule(refuse, name, lib.Arg(place, lib.MASKED_EQ, 0xFFFFFFFF, value))
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
