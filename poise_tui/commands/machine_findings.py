"""What `poise doctor` finds of the machine; nothing here imports torch, a child does (`engine.loop.probe`)."""

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.archive.check import NETWORK, file_system
from engine.errors import PoiseError
from engine.process.registry import runtime_folder
from engine.sandbox.layers import DEFAULT_FLOOR, LAYERS, check_floor, level
from engine.sandbox.probe import available, hints
from engine.sandbox.probe import probe as probe_sandbox
from poise_tui.commands.finding import LEAST_FREE, Finding, size
from poise_tui.commands.outlook_findings import outlook_findings
from poise_tui.format import one_line

GIB = 1 << 30
PROBE_SECONDS = 60.0
"""Importing torch takes a few seconds from a warm disk and many from a cold one."""
VOLATILE = {"tmpfs", "ramfs"}


def machine_findings(runs_dir: Path, profile: str, found: dict[str, Any] | Finding | None) -> Iterator[Finding]:
    """Everything about the machine, the quick parts first.

    Args:
        runs_dir: where runs live.
        profile: what a shipped name or an absolute path says.
        found: what the probe said of torch, GPUs and the profile; None leaves them out.
    """
    yield python()
    yield system()
    yield from place(runs_dir)
    yield disk_kind(file_system(existing(runs_dir)))
    yield memory()
    yield from sandbox()
    yield runtime()
    yield logind()
    yield from limits()
    yield terminal()
    if isinstance(found, Finding):
        yield found
    elif found is not None:
        yield from probe_findings(profile, found)


def python() -> Finding:
    """The interpreter."""
    shown = f"{platform.python_version()} in {sys.executable}"
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        return Finding("python", "ok", shown)
    return Finding("python", "error", shown, "use Python 3.11 to 3.13")


def system() -> Finding:
    """The operating system."""
    shown = f"{platform.system()} {platform.release()}, {os.cpu_count()} cores"
    if platform.system() == "Linux":
        return Finding("system", "ok", shown)
    return Finding("system", "warning", shown, "runs need Linux; here you may attach, replay and report")


def existing(folder: Path) -> Path:
    """The folder, or the one that it would be made in."""
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())


def place(folder: Path) -> Iterator[Finding]:
    """Where runs live: may we write there, and how much room is left."""
    there = existing(folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding("runs folder", "error", f"cannot write in {there}", "give another --runs-dir")
    else:
        yield Finding("runs folder", "ok", str(folder))
    usage, nodes = shutil.disk_usage(there), os.statvfs(there)
    room = f"{size(usage.free)} of {size(usage.total)} free at {there}"
    if usage.free < LEAST_FREE or (nodes.f_files and nodes.f_favail < 10_000):
        yield Finding("disk", "error", f"{room}, {nodes.f_favail} files", "free some, or give another --runs-dir")
    elif usage.free < 5 * GIB:
        yield Finding("disk", "warning", room, "large models write more: watch it, or give another --runs-dir")
    else:
        yield Finding("disk", "ok", room)


def disk_kind(kind: str) -> Finding:
    """Whether what is written to this kind of file system is safe there."""
    if kind in NETWORK:
        advice = "locks and fsync do not hold on a network: give a local --runs-dir"
        return Finding("file system", "warning", f"{kind}, a network file system", advice)
    if kind in VOLATILE:
        return Finding("file system", "warning", f"{kind}: gone after a reboot", "give a --runs-dir on a disk")
    return Finding("file system", "ok", kind or "not known here")


def memory() -> Finding:
    """What a training may use."""
    import psutil

    found = psutil.virtual_memory()
    shown = f"{size(found.available)} of {size(found.total)} free"
    if found.available < GIB:
        return Finding("memory", "error", shown, "end other programs: even a tiny training takes 1 GiB")
    if found.available < 2 * GIB:
        return Finding("memory", "warning", shown, "use --workers 1")
    return Finding("memory", "ok", shown)


def sandbox() -> Iterator[Finding]:
    """What holds candidate code on this machine: the level reached, then each layer, tried."""
    layers = available()
    try:
        check_floor(layers, DEFAULT_FLOOR, hints())
        yield Finding("sandbox", "ok", f"{level(layers)}: candidate code reaches its own job's folder and the grader")
    except PoiseError as error:
        yield Finding("sandbox", "error", str(error), "install what is missing, or run with --allow-weak-sandbox")
    for layer in probe_sandbox().values():
        if layer.there:
            yield Finding(layer.name, "ok", f"{LAYERS[layer.name]} ({layer.detail})")
        else:
            yield Finding(layer.name, "warning", f"missing: {one_line(layer.detail)}", f"get it: {layer.how}")


def runtime() -> Finding:
    """Where control sockets live."""
    try:
        folder = runtime_folder()
    except PoiseError as error:
        return Finding("sockets", "error", str(error), "set XDG_RUNTIME_DIR to a folder that is yours alone")
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if given and folder.is_relative_to(given):
        return Finding("sockets", "ok", str(folder))
    why = f"XDG_RUNTIME_DIR={given} does not serve" if given else "XDG_RUNTIME_DIR is not set"
    return Finding("sockets", "ok", f"{folder}, since {why}")


def logind(root: Path = Path("/"), user: str | None = None) -> Finding:
    """Whether systemd ends an engine when its user logs out.

    Args:
        root: where /etc and /run are.
        user: whose engine.
    """
    if not (root / "run/systemd/system").is_dir():
        return Finding("logout", "ok", "no systemd here: an engine outlives its session")
    name = user or Path.home().name
    setting = "no"
    places = ("usr/lib/systemd", "run/systemd", "etc/systemd")
    files = [root / place / "logind.conf" for place in places]
    # As systemd reads them: the drop-ins after the files, each name once, in the order of their names.
    drop_ins = {f.name: f for place in places for f in (root / place / "logind.conf.d").glob("*.conf")}
    for file in files + [drop_ins[name] for name in sorted(drop_ins)]:
        try:
            lines = [line.strip() for line in file.read_text().splitlines()]
        except OSError:
            continue
        for line in lines:
            if line.startswith("KillUserProcesses="):
                setting = line.partition("=")[2].strip().lower()
    if setting not in ("yes", "true", "1", "on"):
        return Finding("logout", "ok", "an engine outlives its session (KillUserProcesses=no)")
    if (root / "var/lib/systemd/linger" / name).exists():
        return Finding("logout", "ok", f"an engine outlives its session ({name} lingers)")
    advice = f"`loginctl enable-linger {name}`, or start runs with `systemd-run --user --scope`"
    return Finding("logout", "warning", "logind kills an engine when you log out (KillUserProcesses=yes)", advice)


def limits() -> Iterator[Finding]:
    """What the shell allows."""
    low = []
    for name, kind, least in (
        ("open files", resource.RLIMIT_NOFILE, 1024),
        ("processes", resource.RLIMIT_NPROC, 512),
        ("file size", resource.RLIMIT_FSIZE, GIB),
        ("address space", resource.RLIMIT_AS, 64 * GIB),
    ):
        soft = resource.getrlimit(kind)[0]
        if soft != resource.RLIM_INFINITY and soft < least:
            low.append(f"{name} {soft}")
    if low:
        yield Finding("limits", "warning", ", ".join(low), "raise them with `ulimit` before a run")
    else:
        yield Finding("limits", "ok", "open files, processes, file size and address space suffice")


def terminal() -> Finding:
    """Whether the dashboard can be shown here."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return Finding("terminal", "ok", "none here: `poise run --headless` needs none")
    columns, rows = shutil.get_terminal_size()
    name = os.environ.get("TERM", "")
    shown = f"{name or 'TERM is not set'}, {columns}x{rows}"
    if name in ("", "dumb"):
        return Finding("terminal", "warning", shown, "set TERM, such as xterm-256color")
    if columns < 80 or rows < 24:
        return Finding("terminal", "warning", shown, "make it at least 80x24")
    return Finding("terminal", "ok", shown)


def probe(profile: str, runs_dir: Path, seconds: float = PROBE_SECONDS) -> dict[str, Any] | Finding:
    """What a child that may import all that says of torch, GPUs and the profile; or why it says nothing."""
    asked = json.dumps({"profile": profile, "runs_dir": str(runs_dir)})
    command = [sys.executable, "-P", "-m", "engine.loop.probe", asked]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}  # looking fetches nothing
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, env=offline, capture_output=True, text=True, timeout=seconds
        )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found
    except subprocess.TimeoutExpired:
        return Finding("torch", "error", f"not imported within {seconds:g} s", "is the machine too busy?")
    except (ValueError, IndexError):
        lines = done.stderr.strip().splitlines()
        said = one_line(lines[-1]) if lines else f"its process ended with {done.returncode}"
        return Finding("torch", "error", f"cannot be imported: {said}", "`make install` installs it")


def probe_findings(profile: str, found: dict[str, Any]) -> Iterator[Finding]:
    """Torch, GPUs, the profile's model and tasks, and its forecast."""
    cuda = f"CUDA {found['cuda']}" if found["cuda"] else "for CPUs"
    yield Finding("torch", "ok", f"{found['torch']} ({cuda}), trl {found['trl']}, transformers {found['transformers']}")
    names = [f"{g['name']} with {size(g['free'])} of {size(g['total'])} free" for g in found["gpus"]]
    if found["drivers"] and not names:
        advice = "install a torch for your CUDA version: `make install TORCH_INDEX=...`"
        said = f"{', '.join(found['drivers'])}: not usable by this torch ({one_line(found['cuda_error'])})"
        yield Finding("gpus", "warning", said, advice)
    else:
        yield Finding("gpus", "ok", "; ".join(names) or "none: trainings run on the CPU")
    if found["profile_error"]:
        yield Finding("profile", "error", one_line(found["profile_error"]), f"`poise fetch --profile {profile}`")
    else:
        yield Finding("profile", "ok", f"{profile}: its model and its tasks are there")
    if found["outlook"] is not None:
        yield from outlook_findings(profile, found["outlook"])
