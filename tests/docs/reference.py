"""docs/reference.md, made from the code: commands, a profile's keys, the contract, events.

python -P -m tests.docs.reference --write
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click
from pydantic import BaseModel

from engine.archive.event_kinds import EVENT_KINDS
from engine.profiles import schema
from engine.stages import CONTROLLER, LOSS_STAGES, ROLLOUT_STAGES
from poise_tui.cli import SECTIONS, Commands, poise
from poise_tui.screens.keys import KEYS, shown

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "reference.md"
HEAD = """# Reference

Made from the code by `python -P -m tests.docs.reference --write`; a test holds the two together. How it all hangs
together is told elsewhere: [tutorial](tutorial.md), [contract](contract.md), [profiles](profiles.md),
[architecture](architecture.md).
"""
EVERYWHERE = ("--debug", "--help", "--runs-dir")
SEEN_BY_HOOKS = ("Rollouts", "Minibatch", "StepStats", "Hyper", "Norm")


@dataclass(frozen=True)
class Field:
    """One documented attribute of a class."""

    name: str
    kind: str
    default: str
    doc: str


def fields_of(path: Path, name: str) -> list[Field]:
    """The annotated fields of a class, with the strings that follow them, as they stand in its file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    [found] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    fields = []
    for node, after in zip(found.body, [*found.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            doc = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                doc = " ".join(str(after.value.value).split())
            fields.append(Field(node.target.id, ast.unparse(node.annotation), _default(node.value), doc))
    return fields


def _default(value: ast.expr | None) -> str:
    if value is None:
        return ""
    if isinstance(value, ast.Call):  # Field(1, ...) and field(kw_only=True)
        given = [*value.args, *(k.value for k in value.keywords if k.arg == "default")]
        return ast.unparse(given[0]) if given else ""
    return ast.unparse(value)


def commands() -> Iterator[str]:
    """Every command with its options, as its help tells them."""
    assert isinstance(poise, Commands)
    context = click.Context(poise, info_name="poise")
    yield "## Commands\n"
    yield inspect.cleandoc(poise.help or "").partition("\n\n")[2] + "\n"
    yield "Every command has `--debug`; those about runs have `--runs-dir DIR`.\n"
    for section, names in SECTIONS.items():
        yield f"### {section}\n"
        for name in names:
            command = poise.get_command(context, name)
            assert command is not None
            of_it = click.Context(command, info_name=name, parent=context)
            usage = " ".join([f"poise {name}", *command.collect_usage_pieces(of_it)])
            yield f"**`{usage.replace(' [OPTIONS]', '')}`** — {inspect.cleandoc(command.help or '').strip()}\n"
            rows = [p.get_help_record(of_it) for p in command.params if isinstance(p, click.Option)]
            told = [row for row in rows if row is not None and row[0].partition(" ")[0] not in EVERYWHERE]
            if told:
                yield (
                    "\n".join(["| option | |", "|---|---|", *(f"| `{cell(o)}` | {cell(t)} |" for o, t in told)]) + "\n"
                )


def profile() -> Iterator[str]:
    """Every key that a profile may have."""
    yield "## Profile\n"
    yield "One TOML file, checked when it loads; see [profiles](profiles.md) for those that come with the program.\n"
    yield from _table("", schema.Profile)


def _table(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    inner: list[tuple[str, type[BaseModel]]] = []
    rows = []
    for field in fields_of(Path(schema.__file__), model.__name__):
        annotation = model.model_fields[field.name].annotation
        # A table that may be left out is a union with None.
        tables = [t for t in (annotation, *get_args(annotation)) if inspect.isclass(t) and issubclass(t, BaseModel)]
        if tables:
            inner.append((f"{prefix}{field.name}", tables[0]))
        else:
            rows.append(f"| `{field.name}` | `{cell(field.kind)}` | {code(field.default)} | {cell(field.doc)} |")
    title = f"### [{prefix.rstrip('.')}]\n" if prefix else "### Top\n"
    yield title
    yield cell_text(inspect.getdoc(model) or "") + "\n"
    if rows:
        yield "\n".join(["| key | type | default | |", "|---|---|---|---|", *rows]) + "\n"
    for name, table in inner:
        yield from _table(f"{name}.", table)


def contract() -> Iterator[str]:
    """Stages, and what a hook sees."""
    yield "## Contract\n"
    stages = {
        **ROLLOUT_STAGES,
        **LOSS_STAGES,
        CONTROLLER: "figures of an update -> nothing; changes declared state only",
    }
    yield (
        "\n".join(["| stage | |", "|---|---|", *(f"| `{name}` | {cell(told)} |" for name, told in stages.items())])
        + "\n"
    )
    for name in SEEN_BY_HOOKS:
        yield f"### {name}\n"
        fields = fields_of(ROOT / "engine" / "contexts.py", name)
        yield "\n".join(
            ["| | type | |", "|---|---|---|", *(f"| `{f.name}` | `{cell(f.kind)}` | {cell(f.doc)} |" for f in fields)]
        )
        yield ""


def events() -> Iterator[str]:
    """What events.jsonl tells."""
    yield "## Events\n"
    yield (
        'A line of `events.jsonl` is `{"seq", "time", "kind", "node", "data"}`: a number from 1, unix seconds, a kind, '
        "a candidate or null, and what the kind says.\n"
    )
    yield (
        "\n".join(["| kind | data |", "|---|---|", *(f"| `{k}` | {cell(v)} |" for k, v in EVENT_KINDS.items())]) + "\n"
    )


def keys() -> Iterator[str]:
    """What the dashboard's table of verbs says."""
    yield "## Keys of the dashboard\n"
    yield "Names are for `:` and for the configuration; see [dashboard](dashboard.md).\n"
    for section in dict.fromkeys(key.section for key in KEYS):
        rows = [
            f"| {cell(shown(key, {}))} | `{key.id}{f' {key.argument}' if key.argument else ''}` | {cell(key.help)} |"
            for key in KEYS
            if key.section == section
        ]
        yield "\n".join([f"### {section}\n", "| key | name | |", "|---|---|---|", *rows]) + "\n"


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return cell_text(text).replace("|", "\\|")


def cell_text(text: str) -> str:
    """Text in lines as long as they come."""
    return re.sub(r"[ \t]*\n[ \t]*", " ", text).strip()


def code(text: str) -> str:
    """Code, or nothing."""
    return f"`{cell(text)}`" if text else ""


def reference() -> str:
    """The whole document."""
    parts = [HEAD, *commands(), *profile(), *contract(), *events(), *keys()]
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {TARGET.name}; otherwise print it")
    if parser.parse_args().write:
        TARGET.write_text(reference(), encoding="utf-8")
    else:
        print(reference())
