"""Attacks by sockets: to this machine's loopback, to the engine's own socket, to the kernel."""

from __future__ import annotations

import socket

from tests.attacks.attack import Job, attack, first_of


def _send(family: int, kind: int, address: object, word: str) -> str:
    with socket.socket(family, kind) as client:
        client.settimeout(2)
        client.connect(address)  # type: ignore[arg-type]
        client.sendall(word.encode())
    return "sent"


@attack(4, "TCP to this machine's loopback")
def tcp(job: Job) -> str:
    return _send(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", job["tcp"]), job["word"])


@attack(5, "UDP")
def udp(job: Job) -> None:
    _send(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", job["udp"]), job["word"])  # whether it arrives shows there


@attack(6, "an abstract Unix socket")
def abstract(job: Job) -> str:
    return _send(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{job['abstract']}", job["word"])


@attack(7, "the engine's control socket")
def by_path(job: Job) -> str:
    return _send(socket.AF_UNIX, socket.SOCK_STREAM, job["path"], job["word"])


@attack(58, "sockets of other families: raw packets, netlink, virtual machines, the kernel's ciphers")
def families(job: Job) -> str:
    kinds = [
        (socket.AF_PACKET, socket.SOCK_RAW),
        (socket.AF_INET, socket.SOCK_RAW),
        (socket.AF_VSOCK, socket.SOCK_STREAM),
        (socket.AF_ALG, socket.SOCK_SEQPACKET),
        (socket.AF_NETLINK, socket.SOCK_RAW),
    ]
    return str(first_of(*(lambda f=family, k=kind: _made(f, k) for family, kind in kinds)))


def _made(family: int, kind: int) -> str:
    with socket.socket(family, kind, 1 if family == socket.AF_INET else 0):
        return f"a socket of family {family}"
