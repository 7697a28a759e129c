"""The run's folder: what lies where, how a run is found, and what state it is in."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from engine.archive.files import open_regular
from engine.archive.formats import require_format
from engine.errors import Exit, PoiseError
from engine.process.lock import Holder, live_holder

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class CandidateFolder:
    """Files of one candidate."""

    path: Path

    @property
    def algorithm(self) -> Path:
        return self.path / "algorithm.py"

    @property
    def proposal(self) -> Path:
        return self.path / "proposal.json"

    @property
    def verification(self) -> Path:
        return self.path / "verification.json"

    @property
    def reflection(self) -> Path:
        return self.path / "reflection.md"


@dataclass(frozen=True)
class TrialFolder:
    """Files of one training; its processes may write here, so nothing in it is trusted."""

    path: Path

    @property
    def job(self) -> Path:
        return self.path / "job.json"

    @property
    def control(self) -> Path:
        return self.path / "control"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def trial(self) -> Path:
        return self.path / "trial.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples.jsonl"

    @property
    def scores(self) -> Path:
        return self.path / "scores.json"

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        return self.path / "train.log"


@dataclass(frozen=True)
class RunFolder:
    """Files of one run; the folder's name is the run's id."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def config(self) -> Path:
        return self.path / "run.toml"

    @property
    def archive(self) -> Path:
        return self.path / "archive.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def telemetry(self) -> Path:
        return self.path / "telemetry.jsonl"

    @property
    def engine_log(self) -> Path:
        return self.path / "engine.log"

    @property
    def lock(self) -> Path:
        return self.path / "engine.lock"

    @property
    def llm(self) -> Path:
        return self.path / "llm.jsonl"

    @property
    def knowledge(self) -> Path:
        return self.path / "knowledge.md"

    def candidate(self, node: str) -> CandidateFolder:
        return CandidateFolder(self.path / "candidates" / node)

    def trial(self, trial: str) -> TrialFolder:
        return TrialFolder(self.path / "trials" / trial)

    def exists(self) -> bool:
        """Whether a run lives here."""
        return self.config.is_file() or self.archive.is_file()

    def engine(self) -> Holder | None:
        """The engine that runs it now, or None."""
        return live_holder(self.lock)

    def created(self) -> float:
        """When the run was created, unix seconds: the time of its first event, else of its folder."""
        try:
            with open(open_regular(self.events), "rb") as file:
                return float(orjson.loads(file.readline(1 << 20))["time"])
        except (OSError, ValueError, KeyError, TypeError):
            try:
                return self.path.stat().st_mtime
            except OSError:
                return 0.0


def create_run(runs_dir: Path, name: str) -> RunFolder:
    """Make the folder of a new run.

    Raises:
        PoiseError: wrong usage (2) for a name that is no plain name; refused (4) if the run exists or the
            folder cannot be written.
    """
    if not RUN_NAME.fullmatch(name):
        raise PoiseError(
            f"run name {name!r}: use letters, digits, '.', '_' and '-', at most 64, a letter or digit first",
            Exit.USAGE,
        )
    folder = RunFolder(runs_dir / name)
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        folder.path.mkdir()
        (folder.path / "candidates").mkdir()
        (folder.path / "trials").mkdir()
    except FileExistsError:
        raise PoiseError(
            f"run {name} exists in {runs_dir}: choose another --name, or `poise resume {name}`", Exit.REFUSED
        ) from None
    except OSError as error:
        raise PoiseError(f"cannot create {folder.path}: {error.strerror}", Exit.REFUSED) from None
    return folder


def default_runs_dir(
    option: Path | None = None, environ: Mapping[str, str] = os.environ, cwd: Path | None = None
) -> Path:
    """Where runs live: `--runs-dir`, else `$POISE_RUNS`, `./runs` in a checkout, or the XDG data folder."""
    here = cwd or Path.cwd()
    if option is not None:
        return here / option.expanduser()
    if chosen := environ.get("POISE_RUNS"):
        return here / Path(chosen).expanduser()
    if (here / "pyproject.toml").is_file() and (here / "poise_tui").is_dir() and (here / "engine").is_dir():
        return here / "runs"
    data = environ.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path there is invalid and must be ignored.
    base = Path(data) if data.startswith("/") else Path.home() / ".local" / "share"
    return base / "poise" / "runs"


def list_runs(runs_dir: Path) -> list[RunFolder]:
    """All runs of a folder, newest first; none if the folder does not exist."""
    try:
        folders = [RunFolder(path) for path in runs_dir.iterdir()]
    except OSError:
        return []
    return sorted((folder for folder in folders if folder.exists()), key=RunFolder.created, reverse=True)


def find_run(reference: str | None, runs_dir: Path) -> RunFolder:
    """The run meant by a run's id, its folder, or nothing (the newest).

    Raises:
        PoiseError: no such run (3), or a newer version has made it (4).
    """
    if reference is None:
        runs = list_runs(runs_dir)
        if not runs:
            raise PoiseError(f"no run in {runs_dir}: start one with `poise run`", Exit.NOT_FOUND)
        return _known(runs[0])
    if RUN_NAME.fullmatch(reference) and (by_id := RunFolder(runs_dir / reference)).exists():
        return _known(by_id)
    path = Path(reference).expanduser()
    if (by_path := RunFolder(path if path.is_absolute() else Path.cwd() / path)).exists():
        return _known(RunFolder(by_path.path.resolve()))
    raise PoiseError(f"no run {reference!r} in {runs_dir}: `poise ls` lists them", Exit.NOT_FOUND)


def _known(folder: RunFolder) -> RunFolder:
    require_format(folder.path)
    return folder


def shown_status(status: str, folder: RunFolder) -> str:
    """A run's status as users see it: `dead` when it should run, but no engine does.

    Args:
        status: what the run document says.
    """
    return "dead" if status in ("running", "paused") and folder.engine() is None else status
