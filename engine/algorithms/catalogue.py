"""The mechanisms of a Python file, read from its source without importing torch.

`catalogue()` is the library; `read_mechanisms` reads any algorithm file the same way.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from engine.stages import CONTROLLER, LOSS_STAGES, ROLLOUT_STAGES

LIBRARY = Path(__file__).parent / "library"

Param = float | int | bool | str


@dataclass(frozen=True)
class MechanismChoice:
    """One mechanism with its constants, as the archive and an algorithm file name it."""

    name: str
    params: Mapping[str, Param]

    @cached_property
    def key(self) -> str:
        """One spelling for equal choices: `ClipHigher(high=0.28,low=0.2)`."""
        return f"{self.name}({','.join(f'{k}={_spelled(v)}' for k, v in sorted(self.params.items()))})"

    def document(self) -> dict[str, Any]:
        """`{"name", "params"}`, as in a candidate document."""
        return {"name": self.name, "params": dict(self.params)}


@dataclass(frozen=True)
class Entry:
    """What the source of one mechanism says."""

    name: str
    doc: str
    """First paragraph of the docstring: what it does and where it comes from."""
    stages: tuple[str, ...]
    """Stages it hooks, in the order of the pipeline."""
    replaces: tuple[str, ...]
    """Those whose hook never uses `inner`."""
    blind: tuple[str, ...]
    """Those whose hook never reads the value it is given."""
    params: Mapping[str, Param]
    """Constants and their defaults."""
    ranges: Mapping[str, tuple[float, float]]
    """Bounds, by constant."""
    tunable: Mapping[str, tuple[float, ...]]
    """Values worth trying, by constant."""
    source: str
    """The class, without `tunable`."""
    uses: frozenset[str]
    """Every name the class mentions."""
    module: str

    @cached_property
    def form(self) -> str:
        """Equal for classes that are equal but for docstring and layout."""
        node = ast.parse(self.source).body[0]
        assert isinstance(node, ast.ClassDef)
        documented = ast.get_docstring(node) is not None
        return ast.dump(ast.Module(body=node.body[documented:], type_ignores=[]))

    def choice(self, **params: Param) -> MechanismChoice:
        """This mechanism with its defaults, but for the constants given."""
        return MechanismChoice(self.name, {**self.params, **params})


def stages() -> dict[str, str]:
    """Every stage a mechanism may hook and what it turns into what, in the order of the pipeline."""
    return {**ROLLOUT_STAGES, **LOSS_STAGES, CONTROLLER: "figures of an update -> nothing; changes its declared state"}


@cache
def catalogue() -> dict[str, Entry]:
    """The library by name, in the order of its files. Shared: do not change it."""
    return {
        name: entry
        for path in sorted(LIBRARY.glob("*.py"))
        for name, entry in read_mechanisms(path.read_text(encoding="utf-8"), path.stem).items()
    }


def read_mechanisms(source: str, module: str = "candidate") -> dict[str, Entry]:
    """The direct subclasses of `Mechanism` in a file.

    Raises:
        SyntaxError: it is no Python.
    """
    return dict(_read(source, module))


@lru_cache(maxsize=256)
def _read(source: str, module: str) -> Mapping[str, Entry]:
    """Remembered: the same few files are asked about with every decision."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return {node.name: _entry(node, source, module) for node in classes if is_mechanism(node)}


def own_mechanisms(source: str) -> dict[str, Entry]:
    """The mechanisms of a file that the library does not have, or has under that name in another form.

    A file that is no Python has none.
    """
    library = catalogue()
    try:
        found = read_mechanisms(source)
    except (SyntaxError, ValueError):
        return {}
    return {n: e for n, e in found.items() if n not in library or e.form != library[n].form}


def is_mechanism(node: ast.ClassDef) -> bool:
    """Whether a class names `Mechanism` among its bases."""
    return any(getattr(base, "id", getattr(base, "attr", None)) == "Mechanism" for base in node.bases)


def key_of(mechanisms: Iterable[MechanismChoice]) -> str:
    """One spelling for equal sets of mechanisms, whatever their order; empty for GRPO."""
    return "+".join(sorted(choice.key for choice in mechanisms))


def digest_of(mechanisms: Iterable[MechanismChoice]) -> str:
    """`key_of` in ten hexadecimal digits."""
    return hashlib.sha256(key_of(mechanisms).encode()).hexdigest()[:10]


def conflicts(entries: Sequence[Entry], ordered: Iterable[str] = ()) -> list[str]:
    """Why these mechanisms cannot work together, one line each; empty if they can.

    Args:
        entries: the mechanisms.
        ordered: stages whose replacers the file puts in an order of its own.
    """
    free = frozenset(ordered)
    problems = [
        f"{a.name} and {b.name} both replace the stage {stage}; keep one of them"
        for i, a in enumerate(entries)
        for b in entries[i + 1 :]
        for stage in a.replaces
        if stage in b.replaces and stage not in free
    ]
    for entry in entries:
        dead = _made_dead_by(entry)
        problems += [
            f"{other.name} does nothing beside {entry.name}, which replaces what it feeds"
            for other in entries
            if other is not entry and dead.issuperset(other.stages)
        ]
    return problems


def _made_dead_by(entry: Entry) -> frozenset[str]:
    """Stages whose results nobody reads once a mechanism stands in the place of a later one."""
    dead: set[str] = set()
    if "advantages" in entry.replaces and "advantages" in entry.blind:
        dead |= {"baseline", "scale"} | (set() if "shaped" in entry.uses else {"shape_rewards"})
    if "surrogate" in entry.replaces and "surrogate" in entry.blind:
        dead |= {"ratio"}
    return frozenset(dead - set(entry.stages))


def _entry(node: ast.ClassDef, source: str, module: str) -> Entry:
    methods = {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
    hooks = [stage for stage in stages() if stage in methods]
    with_inner = [stage for stage in hooks if len(methods[stage].args.args) == 4]
    doc = (ast.get_docstring(node) or "").split("\n\n")[0]
    tunable = {n: _literal(v) for n, v in _fields(node, constants=False)}.get("tunable")
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    attributes = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    return Entry(
        name=node.name,
        doc=" ".join(doc.split()),
        stages=tuple(hooks),
        replaces=tuple(s for s in with_inner if not _reads(methods[s], argument=3)),
        blind=tuple(s for s in with_inner if not _reads(methods[s], argument=2)),
        params={name: _literal(value) for name, value in _fields(node, constants=True)},
        ranges=_ranges(node),
        tunable={k: tuple(v) for k, v in tunable.items()} if isinstance(tunable, dict) else {},
        source=_source(node, source),
        uses=frozenset(names | attributes),
        module=module,
    )


def _fields(node: ast.ClassDef, constants: bool) -> list[tuple[str, ast.expr]]:
    """Annotated assignments of a class: its constructor's arguments, or else its `ClassVar`s."""
    return [
        (n.target.id, n.value)
        for n in node.body
        if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name) and n.value is not None
        if ("ClassVar" in ast.unparse(n.annotation)) is not constants
    ]


def _ranges(node: ast.ClassDef) -> dict[str, tuple[float, float]]:
    """Bounds of constants annotated `Annotated[type, Range(low, high)]`."""
    return {
        n.target.id: (_literal(call.args[0]), _literal(call.args[1]))
        for n in node.body
        if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
        for call in ast.walk(n.annotation)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Range"
        if len(call.args) == 2
    }


def _reads(method: ast.FunctionDef, argument: int) -> bool:
    name = method.args.args[argument].arg
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(method) if n is not method.args)


def _literal(value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        return ast.unparse(value)


def _source(node: ast.ClassDef, source: str) -> str:
    lines = source.splitlines()
    cut: set[int] = set()
    for n in node.body:
        if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name) and n.target.id == "tunable":
            cut |= set(range(n.lineno, (n.end_lineno or n.lineno) + 1))
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    kept = [lines[i - 1] for i in range(first, (node.end_lineno or first) + 1) if i not in cut]
    single = [line for i, line in enumerate(kept) if line.strip() or (i and kept[i - 1].strip())]
    return "\n".join(single)


def _spelled(value: Param) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return repr(float(value) if number else value)
