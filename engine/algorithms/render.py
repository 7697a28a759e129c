"""From chosen mechanisms to one readable algorithm file: their classes, what these need, nothing else."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from engine.algorithms.catalogue import LIBRARY, MechanismChoice, catalogue, is_mechanism, read_mechanisms
from engine.errors import PoiseError

WIDTH = 110
GROUPS = (("__future__",), ("dataclasses", "math", "typing"), ("torch",), ("engine",))
"""Top-level modules of the import blocks, in order."""


def render(
    name: str,
    hypothesis: str,
    mechanisms: Sequence[MechanismChoice],
    own: Mapping[str, str] | None = None,
    claims: Sequence[str] = (),
) -> str:
    """An algorithm file.

    Args:
        name: the algorithm's name.
        hypothesis: its docstring.
        mechanisms: in the order of the tuple.
        own: source of the algorithm file to take a mechanism from, by its name, where that is not the library.
        claims: what verification is to confirm, see engine/verify/vocabulary.py.

    Raises:
        PoiseError: a mechanism that is nowhere, or two different helpers of one name.
    """
    parts = _Parts()
    for choice in mechanisms:
        parts.take(choice.name, _module_of(choice.name, own or {}))
    parts.imported.setdefault("engine.contract", set()).add("Algorithm")
    safe = "".join(c if c.isprintable() else " " for c in f"{name}: {hypothesis}")
    doc = "\n".join(textwrap.wrap(safe.replace("\\", "/").replace('"', "'"), WIDTH - 4))
    blocks = [f'"""{doc}"""' if "\n" not in doc else f'"""{doc}\n"""', *_imports(parts)]
    text = "\n\n".join(blocks) + "\n"
    for definition in parts.definitions.values():
        text += f"\n\n{definition}\n"
    return text + f"\n\n{_assignment(name, mechanisms, claims)}\n"


def _module_of(mechanism: str, own: Mapping[str, str]) -> _Module:
    if source := own.get(mechanism):
        return _module(source)
    if mechanism not in catalogue():
        raise PoiseError(f"there is no mechanism {mechanism} in the library")
    file = catalogue()[mechanism].module
    return _module(_library(file), file)


@dataclass(frozen=True, eq=False)
class _Module:
    imports: Mapping[str, tuple[str, str | None]]
    """Bound name -> (module, name imported from it, or None for the module itself)."""
    definitions: Mapping[str, tuple[str, frozenset[str]]]
    """Name of a class, function or constant -> (source, names it uses)."""


@dataclass
class _Parts:
    imported: dict[str, set[str]] = field(default_factory=dict)
    """Module -> names; an empty name is the module itself."""
    definitions: dict[str, str] = field(default_factory=dict)
    """Sources by name, in the order of the file."""
    taken: set[tuple[str, _Module]] = field(default_factory=set)
    """Equal sources of two files may need different things: both are looked at."""

    def take(self, name: str, module: _Module) -> None:
        """Add a definition after everything it uses."""
        source, uses = module.definitions[name]
        if self.definitions.get(name, source) != source:
            raise PoiseError(f"two different definitions of {name} cannot be in one algorithm file")
        if (name, module) in self.taken:
            return
        self.taken.add((name, module))
        if "annotations" in module.imports:
            self.imported.setdefault("__future__", set()).add("annotations")
        for used in sorted(uses - {name}):
            if used in module.imports:
                where, what = module.imports[used]
                spelled = "" if what is None else what if what == used else f"{what} as {used}"
                self.imported.setdefault(where, set()).add(spelled)
            elif used in module.definitions:
                self.take(used, module)
        self.definitions[name] = source


@cache
def _module(source: str, module: str = "candidate") -> _Module:
    imports: dict[str, tuple[str, str | None]] = {}
    definitions: dict[str, tuple[str, frozenset[str]]] = {}
    entries = read_mechanisms(source, module)
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            imports.update({a.asname or a.name: (a.name, None) for a in node.names})
        elif isinstance(node, ast.ImportFrom):
            imports.update({a.asname or a.name: (node.module or "", a.name) for a in node.names})
        elif isinstance(node, ast.ClassDef) and is_mechanism(node):
            # Names of the stripped source: `ClassVar` may have served `tunable` alone.
            text = entries[node.name].source
            definitions[node.name] = (text, _names(ast.parse(text)))
        elif isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            definitions[node.name] = (ast.get_source_segment(source, node) or "", _names(node))
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    definitions[target.id] = (ast.get_source_segment(source, node) or "", _names(node))
    return _Module(imports, definitions)


def _names(node: ast.AST) -> frozenset[str]:
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name))


@cache
def _library(file: str) -> str:
    return (LIBRARY / f"{file}.py").read_text(encoding="utf-8")


def _imports(parts: _Parts) -> list[str]:
    blocks = []
    for group in GROUPS:
        plain, named = [], []
        for module in sorted(m for m in parts.imported if m.split(".")[0] in group):
            names = sorted(parts.imported[module] - {""})
            if "" in parts.imported[module]:
                plain.append(f"import {module}")
            if names:
                named.append(f"from {module} import {', '.join(names)}")
        if plain or named:
            blocks.append("\n".join(plain + named))
    return blocks


def _assignment(name: str, mechanisms: Sequence[MechanismChoice], claims: Sequence[str]) -> str:
    calls = [f"{c.name}({', '.join(f'{k}={v!r}' for k, v in c.params.items())})" for c in mechanisms]
    said = [f'"{claim}"' for claim in claims]
    line = f'algorithm = Algorithm(name="{name}", mechanisms={_tuple(calls)}'
    line += f", claims={_tuple(said)})" if said else ")"
    if len(line) <= WIDTH:
        return line
    blocks = f"    mechanisms={_tall(calls)},\n" + (f"    claims={_tall(said)},\n" if said else "")
    return f'algorithm = Algorithm(\n    name="{name}",\n{blocks})'


def _tuple(items: Sequence[str]) -> str:
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"


def _tall(items: Sequence[str]) -> str:
    if len(_tuple(items)) <= WIDTH - 20:
        return _tuple(items)
    return "(\n" + "".join(f"        {item},\n" for item in items) + "    )"
