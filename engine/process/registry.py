"""Which engines of this user run now, so that `attach` works from anywhere; and where their sockets live."""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from engine.archive.files import read_limited, write_json
from engine.errors import Exit, PoiseError
from engine.process.identity import Identity

SOCKET_PATH_LIMIT = 107
"""Bytes that the path of a Unix socket may have on Linux."""


@dataclass(frozen=True)
class LiveEngine:
    """A running engine: its run's id and folder, its process and its control socket."""

    run: str
    folder: Path
    identity: Identity
    socket: Path


def runtime_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's own folder for sockets and the registry, made if need be.

    It is `$XDG_RUNTIME_DIR/poise`, else `poise-<uid>` in the temporary directory, which others may write to:
    so a folder there must be ours and closed to others.

    Raises:
        PoiseError: refused (4): somebody else has prepared that folder, or it cannot be made.
    """
    given = environ.get("XDG_RUNTIME_DIR", "")
    base = Path(given) if given.startswith("/") and os.access(given, os.W_OK | os.X_OK) else None
    folder = base / "poise" if base else Path(environ.get("TMPDIR") or "/tmp") / f"poise-{os.getuid()}"
    # Room for a name of 20 bytes; sockets in a deeper folder could not be bound.
    if len(os.fsencode(folder)) + 21 > SOCKET_PATH_LIMIT:
        folder = Path("/tmp") / f"poise-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise PoiseError(f"cannot make {folder}: {error.strerror}", Exit.REFUSED) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PoiseError(f"{folder} is not yours alone: remove it, or set XDG_RUNTIME_DIR", Exit.REFUSED)
    return folder


def socket_path(run_folder: Path) -> Path:
    """Where the engine of a run listens: a short name that depends on the run's folder alone."""
    return runtime_folder() / f"{_key(run_folder)}.sock"


def register(run_folder: Path, socket: Path) -> None:
    """Announce the calling process as the engine of a run."""
    entry = {"folder": str(run_folder.resolve()), "socket": str(socket), **asdict(Identity.mine())}
    write_json(runtime_folder() / f"{_key(run_folder)}.json", entry, durable=False)


def unregister(run_folder: Path) -> None:
    """Take the announcement back."""
    (runtime_folder() / f"{_key(run_folder)}.json").unlink(missing_ok=True)


def live_engines() -> list[LiveEngine]:
    """This user's running engines, the one started last first; entries of dead ones are removed."""
    engines = []
    for entry in runtime_folder().glob("*.json"):
        engine = _read(entry)
        if engine is not None and engine.identity.alive():
            engines.append(engine)
        else:
            entry.unlink(missing_ok=True)
    return sorted(engines, key=lambda engine: engine.identity.start_time, reverse=True)


def _read(entry: Path) -> LiveEngine | None:
    try:
        value = orjson.loads(read_limited(entry, 1 << 14))
        folder = Path(value["folder"])
        identity = Identity(value["pid"], value["start_time"], value["boot_id"], value["host"])
        return LiveEngine(folder.name, folder, identity, Path(value["socket"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _key(run_folder: Path) -> str:
    return hashlib.sha256(os.fsencode(run_folder.resolve())).hexdigest()[:12]
