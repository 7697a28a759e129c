"""Attacks on the kernel's less travelled doors: getting one open is success."""

from __future__ import annotations

import ctypes
import struct

from tests.attacks.attack import Job, attack, own, syscall


@attack(21, "a new user namespace, to be root in")
def user_namespace(job: Job) -> str:
    syscall(job, "unshare", 0x10000000)
    return "root in it"


@attack(71, "io_uring: system calls that no filter sees")
def io_uring(job: Job) -> str:
    syscall(job, "io_uring_setup", 4, ctypes.create_string_buffer(256))
    return "a ring"


@attack(72, "load a program into the kernel (bpf)")
def bpf(job: Job) -> str:
    syscall(job, "bpf", 0, ctypes.create_string_buffer(struct.pack("IIII", 2, 4, 4, 1) + bytes(128)), 72)
    return "a map"


@attack(73, "perf events", eacces="limits")
def perf(job: Job) -> str:
    request = struct.pack("IIQ", 1, 112, 0).ljust(112, b"\0")
    syscall(job, "perf_event_open", ctypes.create_string_buffer(request), 0, -1, -1, 0)
    return "a counter"


@attack(74, "userfaultfd", eperm="seccomp")
def userfaultfd(job: Job) -> str:
    syscall(job, "userfaultfd", 0)
    return "a handle"


@attack(75, "the kernel's keyrings")
def keyring(job: Job) -> str:
    key = syscall(job, "add_key", ctypes.c_char_p(b"user"), ctypes.c_char_p(b"attacked"), ctypes.c_char_p(b"x"), 1, -2)
    return f"key {key}"


@attack(97, "system calls by another door: int 0x80, x32", nothing="seccomp")
def another_abi(job: Job) -> str:
    """Calls fork as 32-bit programs do; the child ends at once."""
    import mmap
    import os

    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\x53\x89\xf8\xbb\x00\x00\x00\x00\xcd\x80\x5b\xc3")  # eax = argument; ebx = 0; int 0x80
    where = ctypes.addressof(ctypes.c_char.from_buffer(code))
    pid = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(where)(2)
    if pid == 0:
        os._exit(0)
    if pid < 0:
        raise OSError(-pid, "fork")
    return f"process {pid}"


@attack(76, "chroot, to be elsewhere")
def chroot(job: Job) -> str:
    import os

    os.chroot(own(job))
    return "moved"


@attack(77, "become another user")
def another_user(job: Job) -> str:
    import os

    os.setresuid(12345, 12345, 12345)
    return f"user {os.getuid()}"
