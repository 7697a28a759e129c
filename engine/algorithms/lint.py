"""What can be seen of an algorithm's file without running it.

It catches honest mistakes early and cheaply. It is lint, not a wall (torch alone exposes `os`): walls are put up around
the process that runs the file.
"""

from __future__ import annotations

import ast
from pathlib import Path

from engine.errors import PoiseError

ALLOWED_IMPORTS = ("torch", "math", "typing", "dataclasses", "engine.contract", "__future__")
ALLOWED_BELOW_TORCH = ("torch.nn.functional", "torch.special", "torch.linalg")
FORBIDDEN_CALLS = (
    *("eval", "exec", "open", "compile", "__import__", "input", "breakpoint"),
    *("globals", "locals", "vars", "setattr", "delattr"),
)
FORBIDDEN_IN_TORCH = frozenset(
    {
        *("load", "save", "hub", "package", "serialization", "utils", "os", "sys", "multiprocessing", "distributed"),
        *("jit", "compile", "ops", "classes", "library", "_C", "storage", "from_file", "set_printoptions"),
        *("seed", "manual_seed", "set_rng_state", "random", "use_deterministic_algorithms", "set_num_threads"),
        *("set_default_dtype", "set_default_device", "set_grad_enabled", "cuda", "backends"),
    }
)
"""Attributes of torch that reach beyond a batch: files, processes, everybody's random numbers, global settings."""
MAX_SOURCE = 64_000
"""Characters of one algorithm file; the whole library is shorter."""


def lint(source: str) -> list[str]:
    """Everything wrong with an algorithm file that can be seen without running it, one line each."""
    if len(source) > MAX_SOURCE:
        return [f"the file has {len(source)} characters; the limit is {MAX_SOURCE}"]
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
        line = getattr(e, "lineno", None)
        return [f"syntax error{f' in line {line}' if line else ''}: {getattr(e, 'msg', None) or e}"]
    problems = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            problems += [_import(node.lineno, a.name) for a in node.names if not _allowed(a.name)]
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            if node.level or not _allowed(name):
                problems.append(_import(node.lineno, name))
            elif name == "torch":
                forbidden = [a.name for a in node.names if a.name in FORBIDDEN_IN_TORCH]
                problems += [_import(node.lineno, f"torch.{name}") for name in forbidden]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            problems.append(f"line {node.lineno}: {node.func.id}() is not allowed")
        elif isinstance(node, ast.Global):
            names = ", ".join(node.names)
            problems.append(f"line {node.lineno}: `global` is not allowed ({names}); declare state in initial_state()")
        elif isinstance(node, ast.Attribute):
            problems += _attribute(node)
    if not any("algorithm" in _targets(n) for n in tree.body):
        problems.append(
            "nothing named `algorithm` is assigned; end the file with algorithm = Algorithm(name=..., mechanisms=(...))"
        )
    return problems


def read_source(path: Path) -> str:
    """The file's text, linted.

    Raises:
        PoiseError: the file cannot be read, or `lint` finds something.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PoiseError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as e:
        raise PoiseError(f"{path}: cannot be read ({e})") from None
    problems = lint(source)
    if problems:
        raise PoiseError(
            f"{path.name}: {problems[0]}" + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")
        )
    return source


def _allowed(module: str) -> bool:
    return module in ALLOWED_IMPORTS or module in ALLOWED_BELOW_TORCH


def _attribute(node: ast.Attribute) -> list[str]:
    if node.attr.startswith("__") and node.attr != "__name__":
        return [f"line {node.lineno}: the attribute {node.attr} is not allowed"]
    if isinstance(node.value, ast.Name) and node.value.id == "torch" and node.attr in FORBIDDEN_IN_TORCH:
        return [f"line {node.lineno}: torch.{node.attr} is not allowed: a mechanism sees its batch and nothing else"]
    return []


def _import(line: int, module: str) -> str:
    return f"line {line}: import of {module} is not allowed; use only {', '.join(ALLOWED_IMPORTS[:-1])}"


def _targets(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.AnnAssign):
        return [node.target.id] if isinstance(node.target, ast.Name) else []
    if isinstance(node, ast.Assign):
        return [t.id for t in node.targets if isinstance(t, ast.Name)]
    return []
