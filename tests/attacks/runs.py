"""One attack in one set of layers: run it, look at the canaries, say who stopped it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from engine.process import launch
from engine.process.executor import LocalExecutor, Result
from engine.process.launch import Launcher
from engine.profiles.schema import load_profile
from engine.sandbox.layers import LAYERS, Sandbox
from tests.attacks.attack import ENGINE, Attack, Job
from tests.attacks.world import ROOT, World

NAIVE = None
"""In the place of a set of layers: no launcher either, but a plain process whose parent believes what it wrote."""
LIMITS = {
    "wall_seconds": 20,
    "cpu_seconds": 10,
    "memory_mb": 1024,
    "file_mb": 16,
    "files": 64,
    "folder_mb": 64,
    "folder_files": 1000,
}
BOUND_SECONDS = 6.0
"""For which an attack without limits may go on."""
KEY = "ATTACKED_API_KEY"
BY_ERROR = {
    **dict.fromkeys(
        ("ENOENT", "ESRCH", "EROFS", "ECONNREFUSED", "ENETUNREACH", "ENOSPC", "EINVAL", "ENXIO"), "namespaces"
    ),
    **dict.fromkeys(("EFBIG", "ENOMEM", "EMFILE", "EAGAIN"), "limits"),
    "EXDEV": "landlock",
    "ENOSYS": "seccomp",
}


@dataclass(frozen=True)
class Outcome:
    """What came of an attack.

    Attributes:
        evidence: how it is known that it succeeded: `obtained` and what canaries tell; empty if it did not.
        by: who stopped it.
        said: the errors it met, or the engine's cause.
    """

    evidence: tuple[str, ...]
    by: tuple[str, ...] = ()
    said: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the attacker has what it wanted."""
        return bool(self.evidence)

    def cell(self, long: bool = True) -> str:
        """For a table; the long form says what it met."""
        if self.succeeded:
            return "**succeeds**"
        return " and ".join(self.by) + (f" ({self.said})" if self.said and long else "")


class Arena:
    """Runs attacks in one set of layers, through one fork server.

    Args:
        layers: names of the sandbox's layers, or `NAIVE`.
        world: what is attacked.
        preload: modules that the fork server imports.
    """

    def __init__(self, layers: frozenset[str] | None, world: World, preload: tuple[str, ...] = ("torch",)) -> None:
        self.layers = layers
        self.world = world
        readable = (ROOT / "tests", world.packages, world.model)
        writable = (world.run / "trials", world.run / "candidates")
        sandbox = Sandbox(layers, writable, readable) if layers is not None else None
        self._launcher = Launcher(preload, sandbox=sandbox, allow_calls=True)

    async def close(self) -> None:
        """End the fork server."""
        await self._launcher.close()

    async def attempt(self, attack: Attack) -> Outcome:
        """Run one attack, and mend the world."""
        self.world.trusting = self.layers is NAIVE
        job = self.world.job(attack)
        try:
            with _key_in_the_environment(self.world.secret):
                results = [self._naive(attack, job)] if self.layers is NAIVE else await self._launched(attack, job)
            return self._judge(attack, job, results)
        finally:
            self.world.mend()

    async def _launched(self, attack: Attack, job: Job) -> list[Result]:
        assert self.layers is not None
        with _environment_layer("environment" in self.layers):
            results = [await self._job(attack, job | ({"held": self.world.held} if attack.follow else {}), "run")]
            if attack.follow is not None:
                results.append(await self._job(attack, job, "follow"))
        return results

    async def _job(self, attack: Attack, job: Job, function: str) -> Result:
        assert self.layers is not None
        kind = "verify" if attack.candidate else f"call:tests.attacks.child:{function}"
        limits = LIMITS | dict(attack.limits) if "limits" in self.layers else {"wall_seconds": BOUND_SECONDS}
        job = job | {"kind": kind, "limits": limits, "profile": _profile()}
        graded = [kind] if attack.graded else []
        return await LocalExecutor(self._launcher, lambda _: self.world.grader(), graded=graded, grace=0.1).run(job)

    def _naive(self, attack: Attack, job: Job) -> Result:
        """A plain process; its parent takes its environment, descriptors, time and result as they are."""
        folder = Path(job["folder"])
        job = job | {"profile": _profile(), "held": self.world.held}
        stream = self.world.grader() if attack.graded else None
        if stream is not None:
            os.set_inheritable(stream.fileno(), True)
            job["grader_fd"] = stream.fileno()
        (folder / "job.json").write_text(json.dumps(job))
        begun = time.monotonic()
        with (folder / "train.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tests.attacks.child", str(folder / "job.json")],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                close_fds=False,
                start_new_session=True,
            )
        if stream is not None:
            stream.close()
        try:
            process.wait(60 if attack.candidate else 20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return {"status": "timeout", "cause": "ran on", "data": {}, "wall_seconds": time.monotonic() - begun}
        return _believed(folder) | {"wall_seconds": time.monotonic() - begun}

    def _judge(self, attack: Attack, job: Job, results: list[Result]) -> Outcome:
        evidence = []
        for result in results:
            told = json.dumps(result, default=str)
            if result["data"].get("obtained") and not attack.fields.get("measured"):
                evidence.append("obtained")
            if self.world.secret in told or self.world.held in told:
                evidence.append("the secret is in its result")
            if result["status"] == "timeout" and "limits" not in (self.layers or ()):
                evidence.append("it ran on without bounds")
        last = results[-1] | {"folder": job["folder"]}
        if attack.harm is not None:
            try:
                harm = attack.harm(self.world, last)
            except OSError as error:  # nothing was left to be read
                harm = None
                last = last | {"said": str(error)}
            evidence += [harm] if harm else []
        evidence += self.world.harmed(job)
        if evidence:
            return Outcome(tuple(dict.fromkeys(evidence)))
        return self._stopped(attack, job, results)

    def _stopped(self, attack: Attack, job: Job, results: list[Result]) -> Outcome:
        layers = self.layers or frozenset()
        for result in results:
            if result["status"] == "killed" and str(int(signal.SIGSYS)) in str(result["cause"]):
                return Outcome((), ("seccomp",), "SIGSYS")
            if result["status"] in ("killed", "timeout"):
                return Outcome((), ("limits",), str(result["cause"]))
            unfit = "result" in str(result["cause"])  # it left none, or one that was refused
            if result["status"] == "failed" and not (unfit or attack.fields.get("speaks")):
                raise RuntimeError(f"attack {attack.number} did not run: {result['cause']}")
        log = "".join(path.read_text(errors="replace") for path in Path(job["folder"]).glob("*.log"))
        refused = re.findall(r"^refused: (E[A-Z]+)$", log, re.MULTILINE)  # what a candidate's file says
        refused += [name for result in results for name in result["data"].get("denied", ())]
        if not refused:
            reader = attack.nothing or ("namespaces" if attack.harm is None else ENGINE)
            return Outcome((), (reader if reader == ENGINE or reader in layers else "nothing found",))
        by = [_layer(name, attack, layers) for name in refused]
        by = [name for name in by if name in LAYERS] or by
        return Outcome((), tuple(dict.fromkeys(by)), ", ".join(dict.fromkeys(refused)))


def _layer(error: str, attack: Attack, layers: frozenset[str]) -> str:
    """Which layer answers with an error: by what each of them answers, and by which of them are there."""
    no_capabilities = next((name for name in ("limits", "namespaces") if name in layers), "the kernel")
    if error == "EPERM":
        if attack.eperm == "limits":
            return no_capabilities
        if "seccomp" in layers:
            return "seccomp"
        return attack.eperm if attack.eperm in layers else no_capabilities
    if error == "EACCES":
        return "landlock" if "landlock" in layers and "limits" not in (attack.eperm, attack.eacces) else no_capabilities
    layer = BY_ERROR.get(error, "the kernel")
    return layer if layer in layers else "the kernel"


def sets() -> Iterator[tuple[str, frozenset[str] | None]]:
    """The sets of layers that the table has, by name."""
    yield "default", frozenset(LAYERS)
    for name in LAYERS:
        yield f"without {name}", frozenset(LAYERS) - {name}
    yield "nothing", NAIVE


@cache
def _profile() -> dict[str, Any]:
    return load_profile("tiny").resolved()


def _believed(folder: Path) -> Result:
    """A result as one who trusts the writer reads it."""
    name = "result.json" if os.path.lexists(folder / "result.json") else ".result"
    try:
        done = subprocess.run(["cat", folder / name], capture_output=True, timeout=2, check=False)
    except subprocess.TimeoutExpired:
        return {"status": "failed", "cause": "the reader waits for ever", "data": {}}
    try:
        return dict(json.loads(done.stdout))
    except (ValueError, RecursionError):
        return {"status": "failed", "cause": "no result", "data": {}}


@contextmanager
def _key_in_the_environment(secret: str) -> Iterator[None]:
    os.environ[KEY] = secret
    try:
        yield
    finally:
        del os.environ[KEY]


@contextmanager
def _environment_layer(on: bool) -> Iterator[None]:
    """Without it the fork server, which starts in here, inherits all variables."""
    kept = launch.clean_environment
    if not on:
        launch.clean_environment = lambda environ: {**environ, **kept(environ)}
    try:
        yield
    finally:
        launch.clean_environment = kept
