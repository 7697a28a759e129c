"""The table of attacks in docs/security.md: every attack in every set of layers.

python -P -m tests.attacks.table [--write] [--json] [--only NAME]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path

from engine.sandbox import landlock
from engine.sandbox.probe import available, probe
from tests.attacks.attack import Attack
from tests.attacks.child import attacks
from tests.attacks.runs import Arena, Outcome, sets
from tests.attacks.world import ROOT, World

DOCUMENT = ROOT / "docs" / "security.md"
PLACE = re.compile(r"(?<=<!-- attacks -->\n).*(?=<!-- /attacks -->)", re.DOTALL)
WIDTH = 150
MEMORY = Path("/dev/shm")
"""Where the attacked world lies, if it may: thousands of small files, quickly made and removed."""
Row = dict[str, Outcome]


def home() -> str:
    """Where to make a world."""
    return str(MEMORY) if os.access(MEMORY, os.W_OK) else tempfile.gettempdir()


async def measure(names: set[str] | None = None) -> dict[int, Row]:
    """Every attack's outcome, by the name of the set of layers.

    Args:
        names: only these sets.
    """
    rows: dict[int, Row] = {number: {} for number in attacks()}
    with tempfile.TemporaryDirectory(prefix="attacked-", dir=home(), ignore_cleanup_errors=True) as base:
        world = World(Path(base))
        try:
            for name, layers in sets():
                if names is not None and name not in names:
                    continue
                arena = Arena(layers, world)
                for number, attack in attacks().items():
                    rows[number][name] = await arena.attempt(attack)
                await arena.close()
                print(f"{name}: {sum(rows[n][name].succeeded for n in rows)} of {len(rows)} succeed", file=sys.stderr)
        finally:
            world.close()
    return rows


def markdown(rows: Mapping[int, Row]) -> str:
    """The table, and what is to be said about it."""
    known = attacks()
    columns = [name for name, _ in sets()]
    who = "root" if os.geteuid() == 0 else "a normal user"
    kernel = platform.release().split("-")[0]
    head = (
        f"Run as {who} on Linux {kernel} (Landlock version {landlock.version()}) by "
        "`python -P -m tests.attacks.table --write`. Up to 40 those of a list made before the sandbox was, from 41 on "
        "what was found by trying to break it. A cell names the layer that stopped the attack; `engine` is whoever "
        "starts a job and reads what it leaves: that takes no operating system. *Nothing* is a plain process whose "
        "parent believes it, without the launcher. The quick tests run the default column, `make test-slow` the "
        "others, and the default one from an account without privileges too."
    )
    lines = [
        textwrap.fill(head, WIDTH, break_on_hyphens=False),
        "",
        "| | attack | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for number, row in rows.items():
        attack = known[number]
        cells = [f"{row[name].cell(long=name == 'default')}" for name in columns]
        if attack.number == 37:
            cells = [f"*{attack.alone}*", *("" for _ in columns[1:])]
        lines.append(f"| {number} | {_title(attack)} | " + " | ".join(cells) + " |")
    stopped = [f"{n} ({known[n].alone})" for n, row in rows.items() if not row["nothing"].succeeded and n != 37]
    lines += ["", "Not stopped:"]
    lines += [f"- **{n}, {a.title}**: {a.succeeds}." for n, a in known.items() if a.succeeds]
    lines += ["", textwrap.fill(f"Held even with nothing: {'; '.join(stopped)}.", WIDTH)]
    return "\n".join(lines) + "\n"


def _title(attack: Attack) -> str:
    return attack.title.replace("|", "\\|")


def main() -> int:
    """Command line; see the head of this file."""
    parser = argparse.ArgumentParser(prog="tests.attacks.table")
    parser.add_argument("--write", action="store_true", help=f"into {DOCUMENT.name}")
    parser.add_argument("--json", action="store_true", help="evidence of each success, by number and set")
    parser.add_argument("--only", action="append", help="one set of layers by name")
    arguments = parser.parse_args()
    if missing := [layer.name for layer in probe().values() if layer.name not in available()]:
        print(f"this machine lacks {', '.join(missing)}: `poise doctor` says how to get it", file=sys.stderr)
        return 4
    rows = asyncio.run(measure(set(arguments.only) if arguments.only else None))
    if arguments.json:
        print(json.dumps({n: {name: outcome.evidence for name, outcome in row.items()} for n, row in rows.items()}))
        return 0
    table = markdown(rows)
    if arguments.write:
        DOCUMENT.write_text(PLACE.sub(lambda _: table, DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
