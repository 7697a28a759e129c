"""A profile: what is trained on what, for how long, and how candidates are scored; one TOML file.

Profiles that come with the program lie beside this file. Imports nothing heavy, so that a client can refuse
a bad profile before an engine starts.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from engine.errors import Exit, PoiseError

FOLDER = Path(__file__).parent

_UNION_MEMBER = re.compile(r"constrained-int|str|(dict|list)\[.*\]")

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0)]


class _Table(BaseModel):
    """No unknown keys, no change after loading, no "80" for 80, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_serializer(mode="wrap")
    def _without_what_is_unset(self, given: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """TOML has no null, and a key that nobody set must not change the protocol of those who do without it."""
        return {key: value for key, value in given(self).items() if value is not None}


class ModelTable(_Table):
    """`[model]`: the base model and its LoRA adapter."""

    name: str = Field("tiny", min_length=1)
    """A model that comes with the program, or a folder (with a `/`, seen from the profile) of safetensors."""
    lora_r: Count = 16
    lora_alpha: Count = 32
    lora_target: str | list[str] = "all-linear"


class TasksTable(_Table):
    """`[tasks]`: what is trained on and scored."""

    name: str = Field("tiny", min_length=1)
    """`tiny`, a module, or a `.py` file (seen from the profile) with `taskset(options)`."""
    options: dict[str, Any] = {}
    """Given to `taskset`."""


class TrainTable(_Table):
    """`[train]`: one training; every candidate gets the same."""

    learning_rate: Positive
    updates: Count = 80
    """Optimizer updates."""
    prompts_per_batch: Count = 16
    group_size: Annotated[int, Field(ge=2)] = 8
    """Completions of one prompt; advantages compare them."""
    updates_per_batch: Count = 2
    """Updates made from one batch of completions; from 2 on it is off-policy, and ratio and clipping act."""
    beta: Share = 0.02
    """Weight of the KL to the base model; with 0 there is no reference and KL mechanisms are dead."""
    entropy_coef: Share = 0.002
    clip_epsilon: Annotated[float, Field(gt=0, lt=1)] = 0.2
    temperature: Positive = 1.0
    max_completion_length: Count = 24
    """Tokens."""
    threads: Count = 1
    """Of torch; part of the protocol, since sums in another order give other numbers."""
    checkpoint_every: Count
    """Updates; a multiple of `updates_per_batch`, since a half-used batch is not saved."""
    sample_every: Count
    """Updates between two samples of completions kept to be read."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        rows = self.prompts_per_batch * self.group_size
        if rows % self.updates_per_batch:
            raise ValueError(
                f"updates_per_batch = {self.updates_per_batch} must divide the batch, which is "
                f"prompts_per_batch * group_size = {rows}"
            )
        for key in ("updates", "checkpoint_every"):
            if getattr(self, key) % self.updates_per_batch:
                raise ValueError(
                    f"{key} = {getattr(self, key)} must be a multiple of updates_per_batch = {self.updates_per_batch}"
                )
        return self


class ScoreTable(_Table):
    """`[score]`: held-out problems; hard tasks by pass@k, the others by the mean over samples."""

    problems: Count | dict[str, Count]
    """Of each task: one number, or a table by task."""
    samples: Count | dict[str, Count]
    """Of each problem: one number, or a table by task."""
    k: Count
    """Of pass@k."""
    temperature: Positive = 1.0
    max_completion_length: Count = 24
    """Tokens."""
    batch_size: Count
    """Completions generated at once."""
    threads: Count = 1

    @model_validator(mode="after")
    def _fits(self) -> Self:
        # With a table the scorer checks the hard tasks: only the task set knows which they are.
        if isinstance(self.samples, int) and self.samples < self.k:
            raise ValueError(f"samples = {self.samples} must be at least k = {self.k} for pass@k")
        return self


class GenerationTable(_Table):
    """`[generation]`: who samples completions, in training and in scoring; see docs/generation.md."""

    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """`auto`: vLLM where there is a GPU and vLLM is installed, otherwise transformers; settled when a run begins."""
    memory_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Of the GPU's memory, for vLLM's weights and its cache of keys and values, in training and in scoring."""
    sleep: bool = True
    """vLLM gives its memory back while the optimizer works; waking costs a copy of the weights."""


class Weights(_Table):
    """`[search.weights]`: how a parent is chosen; only their ratios count."""

    performance: Share = 0.4
    """Overall."""
    diversity: Share = 0.2
    """Distance to the other candidates, less with every child."""
    pareto: Share = 0.2
    """Front over the tasks."""
    bayes: Share = 0.2
    """What its descendants are expected to gain."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.performance + self.diversity + self.pareto + self.bayes == 0:
            raise ValueError("one of performance, diversity, pareto and bayes must be more than 0")
        return self


class PotentialTable(_Table):
    """`[search.potential]`: the Gaussian process of descendant potential."""

    gamma: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Discount of a gain a generation."""
    top_k: Count = 3
    """Descendants that count, the best ones."""
    beta: Positive = 5.0
    """Points of Overall that saturate a gain."""
    kappa: Share = 1.0
    """Standard deviations added to the mean: more explores more."""
    length_scale: Positive = 1.0
    """Of the kernel; two candidates of an archive are about 1 apart."""


class RungsTable(_Table):
    """`[search.rungs]`: where trainings are judged before their end; see docs/evidence.md."""

    at: list[Annotated[float, Field(gt=0, lt=1)]] = []
    """Fractions of a whole training, ascending; none: everybody trains to the end."""
    seeds: list[Count] = []
    """Trainings that a candidate gets at each rung, the whole training last; 1 where nothing is said."""
    eta: Annotated[int, Field(ge=2)] = 4
    """About one in so many goes on from a rung."""
    correlation: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Rank correlation of a rung's scores with the final ones, believed until the run has measured its own."""
    problems: Count | dict[str, Count] = 40
    """Of each task, when a rung below the end is scored."""
    samples: Count | dict[str, Count] = 8
    """Of each problem there."""
    finalists: Annotated[int, Field(ge=0)] = 6
    """Best ones that get further seeds when the search has ended, while it is not clear who goes into confirmation."""
    finalist_seeds: Count = 4
    """Whole trainings of each of them, at most."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if sorted(set(self.at)) != self.at:
            raise ValueError(f"rungs.at = {self.at} must ascend, each fraction once")
        if self.at and len(self.seeds) > len(self.at) + 1:
            raise ValueError(f"rungs.seeds = {self.seeds}: one for each of {len(self.at)} rungs and one for the end")
        return self


class ConfirmTable(_Table):
    """`[confirm]`: how the best candidates are tried again, see docs/evidence.md."""

    candidates: Annotated[int, Field(ge=0)] = 3
    """How many, at the end of a search; 0: none unless `poise confirm` asks for it."""
    seeds: Annotated[int, Field(ge=2)] = 10
    """Fresh trainings of each, and of the root."""
    looks: list[Annotated[int, Field(ge=2)]] = [5, 7]
    """Seeds after which the results are looked at before the end, planned beforehand."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """False confirmations of all that a run attempts together."""


class SearchTable(_Table):
    """`[search]`: the discovery."""

    candidates: Count = 16
    """Nodes besides the root, unless the command line says otherwise."""
    lag: Count = 4
    """Decision k sees the settled results of candidates 0..k-lag: more lag, more workers kept busy."""
    baseline_seeds: Count = 8
    """Trainings of the root, kept for later runs of the same protocol and seed; their spread is the noise floor."""
    parents: Count = 3
    """Parents of a round; all its decisions see what the first one sees."""
    population: Count = 4
    """Proposals that each decision chooses from."""
    weights: Weights = Weights()
    potential: PotentialTable = PotentialTable()
    rungs: RungsTable = RungsTable()


class LimitsTable(_Table):
    """`[limits]`: what one process may take before it is killed, and when the run waits."""

    step_seconds: Positive = 600.0
    """Without a further update, before a training is taken to hang."""
    retries: Annotated[int, Field(ge=0)] = 3
    """Further starts of a process that was killed or hung, counted anew when it has come further."""
    disk_reserve_mb: Share = 256.0
    """Space on the disk below which the run pauses until there is more."""
    verify_seconds: Positive
    train_seconds: Positive
    score_seconds: Positive
    memory_mb: Annotated[int, Field(ge=256)]
    """Address space beyond what is mapped when it starts."""
    file_mb: Count
    """The largest file it may write."""
    folder_mb: Count = 4096
    """All files in its folder together."""
    folder_files: Count = 10_000
    """How many files and folders there."""
    files: Annotated[int, Field(ge=16)]
    """Files it may hold open."""
    node_memory_mb: Annotated[int, Field(ge=0)] = 1024
    """Memory that a node of a cluster sets aside for a training."""


class Profile(_Table):
    """A whole profile."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")
    """Begins the ids of its runs."""
    description: str = ""
    model: ModelTable = ModelTable(name="tiny")
    tasks: TasksTable = TasksTable(name="tiny")
    train: TrainTable
    score: ScoreTable
    generation: GenerationTable | None = None
    search: SearchTable
    confirm: ConfirmTable = ConfirmTable()
    limits: LimitsTable

    @field_validator("description")
    @classmethod
    def _one_line(cls, value: str) -> str:
        return " ".join(value.split())

    def resolved(self) -> dict[str, Any]:
        """Every value, defaults included, as JSON."""
        return self.model_dump(mode="json")


def known_profiles() -> list[str]:
    """The profiles that come with the program."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_profile(name_or_path: str | Path) -> Profile:
    """A profile that comes with the program, or a file of the user's.

    Raises:
        PoiseError: wrong usage (2): no such profile, unreadable TOML or a wrong value, with file and key.
    """
    path = _find(str(name_or_path))
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PoiseError(f"cannot read profile {path}: {error.strerror}", Exit.USAGE) from None
    except UnicodeDecodeError:
        raise PoiseError(f"profile {path} is not UTF-8 text", Exit.USAGE) from None
    except tomllib.TOMLDecodeError as error:
        raise PoiseError(f"profile {path} is not TOML: {error}", Exit.USAGE) from None
    try:
        return Profile.model_validate(_options_seen_from(path.parent, _seen_from(path.parent, values)))
    except ValidationError as error:
        raise PoiseError(f"profile {path}: {_line(error.errors())}", Exit.USAGE) from None


def _find(name: str) -> Path:
    if name in known_profiles():
        return FOLDER / f"{name}.toml"
    path = Path(name).expanduser()
    if path.is_file():
        return path.resolve()
    known = ", ".join(known_profiles())
    if "/" in name or name.endswith(".toml"):
        raise PoiseError(f"no profile file {name}: give a TOML file, or one of {known}", Exit.USAGE)
    raise PoiseError(f"unknown profile {name!r}: use {known}, or the path of a TOML file", Exit.USAGE)


def _seen_from(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    """The values with paths made absolute: children run in other folders."""
    resolved = dict(values)
    for table in ("model", "tasks"):
        name = values[table].get("name") if isinstance(values.get(table), dict) else None
        if isinstance(name, str) and ("/" in name or name.endswith(".py")):
            resolved[table] = {**values[table], "name": str(folder / Path(name).expanduser())}
    return resolved


def _options_seen_from(folder: Path, values: dict[str, Any]) -> dict[str, Any]:
    """The values with the files of `[tasks.options]` made absolute: texts that begin with `./`, `../` or `~/`."""
    tasks = values.get("tasks")
    options = tasks.get("options") if isinstance(tasks, dict) else None
    if not isinstance(tasks, dict) or not isinstance(options, dict):
        return values
    seen = {
        key: str(folder / Path(value).expanduser())
        if isinstance(value, str) and value.startswith(("./", "../", "~/"))
        else value
        for key, value in options.items()
    }
    return {**values, "tasks": {**tasks, "options": seen}}


def _line(errors: Sequence[Mapping[str, Any]]) -> str:
    """What the first wrong key means to the author; unknown keys first, since they explain missing ones."""
    by_key: dict[tuple[str, ...], list[str]] = {}  # pydantic reports each member of a union apart
    for error in sorted(errors, key=lambda error: error["type"] != "extra_forbidden"):
        # A member of a union adds its type to the path: that is no key of the file.
        keys = tuple(key for part in error["loc"] if not _UNION_MEMBER.fullmatch(key := str(part)))
        by_key.setdefault(keys, []).append(_meaning(keys, error))
    deepest = [keys for keys in by_key if not any(keys != k and keys == k[: len(keys)] for k in by_key)]
    more = f" (and {len(deepest) - 1} more)" if len(deepest) > 1 else ""
    first, *others = by_key[deepest[0]]
    return first + "".join(" or " + other.partition("expected ")[2] for other in others) + more


def _meaning(keys: tuple[str, ...], error: Mapping[str, Any]) -> str:
    key = ".".join(keys) or "the file"
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key {key}; known here: {', '.join(_known_keys(keys[:-1]))}"
        case "missing":
            return f"{key} is missing"
        case "value_error":
            return f"[{key}] {error['msg'].removeprefix('Value error, ')}"
        case _:
            expected = error["msg"].removeprefix("Input should be ").removeprefix("String should ")
            return f"{key} = {error['input']!r}: expected {expected}"


def _known_keys(tables: tuple[str, ...]) -> list[str]:
    model: type[BaseModel] = Profile
    for table in tables:
        annotation = model.model_fields[table].annotation
        # A table that may be left out is a union with None.
        model = next(t for t in (annotation, *get_args(annotation)) if isinstance(t, type) and issubclass(t, BaseModel))
    return list(model.model_fields)
