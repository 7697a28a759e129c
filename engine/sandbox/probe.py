"""Which layers this machine has: each is tried, none is believed. Also a program: the trial in a child."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.sandbox import bubblewrap, landlock, privileges, seccomp
from engine.sandbox.layers import LAYERS, Sandbox

SECONDS = 20.0
"""For one trial, at most."""
USERNS = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"


@dataclass(frozen=True)
class Layer:
    """One layer on this machine."""

    name: str
    there: bool
    detail: str
    """What was found."""
    how: str = ""
    """How to get it, where it is missing."""


@cache
def probe() -> dict[str, Layer]:
    """Every layer by name, tried once in this process's life."""
    own = _in_a_child()
    found = [
        Layer("environment", True, "always"),
        _namespaces(),
        Layer("limits", "limits" in own, own.get("limits", own["error"]), "a Linux kernel of this decade"),
        Layer(
            "landlock",
            "landlock" in own,
            own.get("landlock", own["error"]),
            "a kernel from 5.13 on with Landlock in its list of security modules (boot with lsm=landlock,...)",
        ),
        Layer(
            "seccomp",
            "seccomp" in own,
            own.get("seccomp", own["error"]),
            "libseccomp: apt install libseccomp2 (Debian, Ubuntu) or dnf install libseccomp",
        ),
    ]
    return {layer.name: layer for layer in sorted(found, key=lambda layer: list(LAYERS).index(layer.name))}


def available() -> frozenset[str]:
    """Names of the layers there are."""
    return frozenset(layer.name for layer in probe().values() if layer.there)


def hints() -> dict[str, str]:
    """For each missing layer, what was found and how to get it."""
    return {layer.name: f"{layer.detail} ({layer.how})" for layer in probe().values() if not layer.there}


def _namespaces() -> Layer:
    program = bubblewrap.find()
    if program is None:
        return Layer(
            "namespaces", False, "bubblewrap is not installed", "apt install bubblewrap, or dnf install bubblewrap"
        )
    how = "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces=15000)"
    if _read(USERNS) == "1":
        how = f"an AppArmor profile for {program} that allows userns, or sysctl {Path(USERNS).name}=0 under kernel."
    try:
        done = subprocess.run(
            [*bubblewrap.command(program, Sandbox()), sys.executable, "-I", "-S", "-c", "pass"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Layer("namespaces", False, f"bubblewrap does not run: {error}", how)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return Layer("namespaces", False, f"bubblewrap is refused: {said[-1] if said else done.returncode}", how)
    return Layer("namespaces", True, f"bubblewrap at {program}")


def _in_a_child() -> dict[str, str]:
    """What a process can do to itself, from one that did: by layer, and `error` for what it could not."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=True,
        )
        return {"error": "", **json.loads(done.stdout)}
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return {"error": f"the trial failed: {error}"}


def _trials() -> dict[str, str]:
    """Puts on what can be put on: never in a process that has anything else to do."""
    found, errors = {}, []
    try:
        program = seccomp.build()  # now: afterwards its files are out of reach
    except OSError as error:
        program = b""
        errors.append(str(error))
    trials: dict[str, Callable[[], str]] = {"limits": _drop, "landlock": _landlock}
    if program:
        trials["seccomp"] = lambda: _seccomp(program)
    for name, trial in trials.items():
        try:
            found[name] = trial()
        except OSError as error:
            errors.append(str(error))
    return {**found, "error": "; ".join(errors)}


def _drop() -> str:
    privileges.drop()
    return "limits are kept, capabilities given up"


def _landlock() -> str:
    landlock.restrict([Path("/usr"), Path("/proc/self")], [])
    return f"version {landlock.version()}"


def _seccomp(program: bytes) -> str:
    seccomp.load(program)
    return f"{len(seccomp.DENIED) + len(seccomp.UNKNOWN)} system calls refused"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


if __name__ == "__main__":
    print(json.dumps(_trials()))
