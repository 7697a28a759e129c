"""Text of our own modules, cut for a file that stands alone: without imports, and without what such a file lacks."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable
from pathlib import Path

ENGINE = Path(__file__).parents[1]
_TYPE_IGNORE = re.compile(r"  # type: ignore\[[^\]]*\]")


def module(name: str) -> str:
    """The source of a module of the engine, by its path below `engine` without the suffix."""
    return _TYPE_IGNORE.sub("", (ENGINE / f"{name}.py").read_text(encoding="utf-8"))


def body(source: str, without: Collection[str] = ()) -> str:
    """A module without its docstring, its imports, and the definitions named in `without` (`name`, `Class.method`)."""
    nodes = ast.parse(source).body
    cut: list[ast.stmt] = [n for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom))]
    cut += nodes[:1] if nodes and _is_text(nodes[0]) else []
    for scope, members in (("", nodes), *((f"{n.name}.", n.body) for n in nodes if isinstance(n, ast.ClassDef))):
        for i, node in enumerate(members):
            if any(scope + name in without for name in defined(node)):
                after = members[i + 1 : i + 2]
                cut += [node, *(after if isinstance(node, (ast.Assign, ast.AnnAssign)) and _is_text(after[:1]) else ())]
    return _without(source, cut)


def pick(source: str, names: Iterable[str]) -> str:
    """Top-level definitions, or methods as `Class.method`, in the order asked for."""
    found: dict[str, str] = {}
    nodes = ast.parse(source).body
    for scope, members in (("", nodes), *((f"{n.name}.", n.body) for n in nodes if isinstance(n, ast.ClassDef))):
        for i, node in enumerate(members):
            after = members[i + 1 : i + 2]
            last = after[0] if isinstance(node, (ast.Assign, ast.AnnAssign)) and _is_text(after) else node
            found.update({scope + name: _lines(source, node, last) for name in defined(node)})
    return "\n\n".join(found[name] for name in names)


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """The text with each first string replaced by the second.

    Raises:
        ValueError: one of them is not there: the module has changed, and what is made of it must too.
    """
    for old, new in pairs:
        if old not in text:
            raise ValueError(f"the source has no {old!r} any more")
        text = text.replace(old, new)
    return text


def defined(node: ast.stmt) -> list[str]:
    """Names that a statement binds."""
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [t.id for t in targets if isinstance(t, ast.Name)]


def imports(source: str) -> list[tuple[str, str | None, str]]:
    """`(module, name, bound)` of its imports; no name for `import module`."""
    found: list[tuple[str, str | None, str]] = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            found += [(a.name, None, a.asname or a.name) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.module or "", a.name, a.asname or a.name) for a in node.names]
    return found


def import_lines(wanted: Iterable[tuple[str, str | None, str]], text: str) -> str:
    """The import block of what `text` uses, as ruff sorts it."""
    used = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
    plain: dict[bool, set[str]] = {True: set(), False: set()}
    named: dict[bool, dict[str, set[str]]] = {True: {}, False: {}}
    for where, name, bound in wanted:
        own = where.split(".")[0] not in ("torch", "transformers", "trl")
        if where == "__future__" or bound.split(".")[0] not in used:
            continue
        if name is None:
            plain[own].add(f"import {where}" + ("" if bound == where else f" as {bound}"))
        else:
            named[own].setdefault(where, set()).add(name if name == bound else f"{name} as {bound}")
    blocks = ["from __future__ import annotations"]
    for own in (True, False):
        lines = sorted(plain[own], key=lambda line: line.split()[1])
        for where, names in sorted(named[own].items()):
            lines.append(f"from {where} import {', '.join(sorted(names, key=_order))}")
        blocks += ["\n".join(lines)] if lines else []
    return "\n\n".join(blocks)


def _order(name: str) -> tuple[int, str]:
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2, name)


def _is_text(node: ast.stmt | list[ast.stmt]) -> bool:
    first = node if isinstance(node, ast.stmt) else node[0] if node else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def _first(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(d.lineno for d in decorators)])


def _lines(source: str, node: ast.stmt, last: ast.stmt) -> str:
    return "\n".join(source.splitlines()[_first(node) - 1 : last.end_lineno])


def _without(source: str, cut: Iterable[ast.stmt]) -> str:
    lines = source.splitlines()
    gone: set[int] = set()
    for node in cut:
        first = _first(node)
        while first > 1 and not lines[first - 2].strip():
            first -= 1
        gone |= set(range(first, (node.end_lineno or first) + 1))
    return "\n".join(line for i, line in enumerate(lines, start=1) if i not in gone).strip("\n")
