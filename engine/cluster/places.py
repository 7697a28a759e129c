"""The seats that a run has on a Ray cluster. The one module that imports ray.

A seat is an actor with the resources of one training; it stays for the next job, since starting one takes seconds, and
goes when no job has been there for a while. Seats that only verify take no resources, as verifications on one machine
run beside the trainings.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.cluster.seat import Seat, Terms
from engine.errors import Exit, PoiseError
from engine.loop.machine import gpu_names
from engine.process.child import one_line

try:
    import ray
    from ray.exceptions import RayError as Lost
except ImportError:
    message = "--executor ray needs Ray, which is not installed: pip install 'poise-tui[ray]'"
    raise PoiseError(message, Exit.USAGE) from None

__all__ = ["Lost", "Needs", "Place", "Places", "connect", "leave", "needs_of", "room", "told"]

SETTINGS = 4
"""The kind of HTTP/2's first frame (RFC 9113, section 6.5)."""
CONNECT_SECONDS = 5.0
"""For a cluster's address to answer."""
IDLE_SECONDS = 60.0
"""After which a seat without a job gives its resources back."""
CHECKS_AT_ONCE = 4
"""Verifications on one seat."""
NODE_MEMORY_MB = 1024
"""That a training takes on a node, where a profile says nothing."""
FAILURES = 8
"""Seats in a row that could not be opened, before jobs are told so."""
LEAVE_SECONDS = 10.0
"""For a seat to clean up before it is killed."""


@dataclass(frozen=True)
class Needs:
    """Resources of a seat that trains and scores: cores, GPUs, and MiB of memory that its node sets aside."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory_mb: float = 0.0

    def options(self, trains: bool) -> dict[str, Any]:
        """As Ray's options; a seat that only verifies takes nothing, as beside the trainings of one machine."""
        if not trains:
            return {"num_cpus": 0, "scheduling_strategy": "SPREAD"}
        memory = {"memory": int(self.memory_mb * (1 << 20))} if self.memory_mb else {}
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, **memory}


def connect(address: str) -> None:
    """Join a cluster, once in this process.

    Args:
        address: `auto` (the cluster that this machine is a node of) or HOST:PORT of its head.

    Raises:
        PoiseError: it does not answer, or has other versions of Ray or Python.
    """
    if ray.is_initialized():
        return
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        try:
            greet(host, int(port))
        except OSError as error:
            raise PoiseError(
                f"no Ray cluster answers at {address} ({one_line(str(error))}): give the address of its head, as "
                "`ray start --head` prints it, in --ray-address",
                Exit.REFUSED,
            ) from None
    elif address != "auto":
        raise PoiseError(f"--ray-address {address}: write HOST:PORT of the cluster's head, or auto", Exit.USAGE)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        with contextlib.chdir(Path(__file__).parents[2]):  # Ray puts it on its workers' import path
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except Exception as error:  # of many kinds, private ones among them
        raise PoiseError(
            f"the Ray cluster at {address} cannot be used: {one_line(str(error))}; the engine runs on one of its nodes",
            Exit.REFUSED,
        ) from None


def needs_of(profile: Mapping[str, Any]) -> Needs:
    """What a training takes on a node of a cluster, by its profile."""
    threads = max(int(profile[table]["threads"]) for table in ("train", "score"))
    memory = profile["limits"].get("node_memory_mb", NODE_MEMORY_MB)
    return Needs(float(threads), 1.0 if gpu_names() else 0.0, float(memory))


def greet(host: str, port: int) -> None:
    """See that something speaks HTTP/2 there, as gRPC does; Ray itself would try for minutes.

    Raises:
        OSError: nothing listens, or something else.
    """
    with socket.create_connection((host, port), CONNECT_SECONDS) as connection:
        if os.environ.get("RAY_USE_TLS", "0") != "0":
            return
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, SETTINGS, 0, 0, 0, 0, 0)))
        frame = connection.recv(9, socket.MSG_WAITALL)
        if len(frame) < 9 or frame[3] != SETTINGS:
            raise OSError("something else listens there")


def room(needs: Needs) -> int:
    """How many trainings the cluster has room for now, free or not."""
    there = ray.cluster_resources()
    rooms = [there.get("CPU", 0.0) / needs.cpus if needs.cpus else None]
    rooms.append(there.get("GPU", 0.0) / needs.gpus if needs.gpus else None)
    return int(min((found for found in rooms if found is not None), default=0.0))


@dataclass
class Place:
    """A seat on the cluster, from here."""

    actor: Any
    trains: bool
    facts: dict[str, Any] = field(default_factory=dict)
    jobs: int = 0
    idle_since: float = 0.0

    @property
    def full(self) -> bool:
        return self.jobs >= (1 if self.trains else CHECKS_AT_ONCE)


class Places:
    """The seats of a run: found, made, shared out, given back.

    Args:
        terms: of every seat.
        needs: of a seat that trains.
        tell: hears, once, of a node that does not fit.
    """

    def __init__(self, terms: Terms, needs: Needs, tell: Callable[[str], None]) -> None:
        self._terms = terms
        self._needs = needs
        self._tell = tell
        self._open: list[Place] = []
        self._unfit: list[Place] = []
        """Kept, so that their nodes' resources are not offered again."""
        self._coming: dict[asyncio.Task[None], Place] = {}
        self._waiting: list[tuple[bool, asyncio.Future[Place]]] = []
        self._janitor: asyncio.Task[None] | None = None
        self._failures = 0

    async def take(self, trains: bool) -> Place:
        """A seat for one job; waits until the cluster has one.

        Raises:
            PoiseError: the nodes of the cluster do not fit.
        """
        if self._janitor is None:
            self._janitor = asyncio.create_task(self._give_back_idle())
        free = [place for place in self._open if place.trains is trains and not place.full]
        if free:
            place = min(free, key=lambda place: place.jobs)
            place.jobs += 1
            return place
        waiter: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._waiting.append((trains, waiter))
        self._grow(trains)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.leave(waiter.result())
            raise
        finally:
            self._waiting = [entry for entry in self._waiting if entry[1] is not waiter]

    def leave(self, place: Place) -> None:
        """A job on a seat has ended."""
        place.jobs -= 1
        place.idle_since = time.monotonic()
        if place in self._open:
            self._offer(place)

    def drop(self, place: Place) -> None:
        """A seat is lost, or is not to be trusted any more."""
        if place in self._open:
            self._open.remove(place)
        with suppress(Exception):
            ray.kill(place.actor)

    async def close(self) -> None:
        """Give all seats back."""
        tasks = [*self._coming, *([self._janitor] if self._janitor else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(self._end(place) for place in [*self._open, *self._unfit]))

    def _offer(self, place: Place) -> None:
        for trains, waiter in self._waiting:
            if trains is place.trains and not place.full and not waiter.done():
                place.jobs += 1
                waiter.set_result(place)

    def _grow(self, trains: bool) -> None:
        """Ask the cluster for as many seats as there are jobs that wait for one."""
        waiting = sum(1 for kind, waiter in self._waiting if kind is trains and not waiter.done())
        coming = sum(1 for place in self._coming.values() if place.trains is trains)
        if not trains:  # one for several, and one a node at most
            there = coming + sum(1 for place in self._open if not place.trains)
            waiting = min(-(-waiting // CHECKS_AT_ONCE), max(nodes_alive(), 1) - there + coming)
        for _ in range(waiting - coming):
            actor = ray.remote(Seat).options(**self._needs.options(trains), max_restarts=0, max_concurrency=100)
            place = Place(actor.remote(self._terms), trains)
            task = asyncio.create_task(self._opened(place))
            self._coming[task] = place
            task.add_done_callback(lambda done: self._coming.pop(done, None) and None)

    async def _opened(self, place: Place) -> None:
        try:
            place.facts = await place.actor.open.remote()
        except Lost as error:
            self._coming.pop(asyncio.current_task(), None)  # type: ignore[arg-type]
            self.drop(place)
            self._failures += 1  # a node that dies takes a few along; what fails again and again is no accident
            if self._failures > FAILURES:
                self._refuse(place.trains, f"no seat on the cluster: {told(error)}")
            else:
                self._grow(place.trains)
            return
        except asyncio.CancelledError:
            self.drop(place)
            raise
        self._failures, place.idle_since = 0, time.monotonic()
        if place.facts["unfit"] is None:
            self._open.append(place)
            self._offer(place)
            return
        line = f"node {place.facts['node']} of the cluster does not fit: {place.facts['unfit']}"
        if not any(other.facts == place.facts for other in self._unfit):
            self._tell(line)
        self._unfit.append(place)
        self._coming.pop(asyncio.current_task(), None)  # type: ignore[arg-type]
        if not any(p.trains is place.trains for p in self._open) and len(self._unfit) >= 2 * nodes_alive():
            self._refuse(place.trains, line)
        else:
            self._grow(place.trains)

    def _refuse(self, trains: bool, why: str) -> None:
        for kind, waiter in self._waiting:
            if kind is trains and not waiter.done():
                waiter.set_exception(PoiseError(why))
                return

    async def _give_back_idle(self) -> None:
        while True:
            await asyncio.sleep(IDLE_SECONDS / 4)
            now = time.monotonic()
            for place in [p for p in self._open if not p.jobs and now - p.idle_since > IDLE_SECONDS]:
                self._open.remove(place)
                await self._end(place)
            if not self._waiting:
                for task in list(self._coming):
                    task.cancel()

    async def _end(self, place: Place) -> None:
        with suppress(Exception):
            await asyncio.wait_for(asyncio.wrap_future(place.actor.close.remote().future()), LEAVE_SECONDS)
        with suppress(Exception):
            ray.kill(place.actor)


def nodes_alive() -> int:
    """How many nodes the cluster has now."""
    return sum(1 for node in ray.nodes() if node["Alive"])


def leave() -> None:
    """Leave the cluster."""
    ray.shutdown()


def told(error: BaseException) -> str:
    """What Ray says, in one line; of its long texts the first is enough."""
    lines = (line.strip() for line in str(error).splitlines())
    return one_line(next(filter(None, lines), type(error).__name__), 160)
