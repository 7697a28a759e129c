"""Runs the benchmarks that docs/benchmarks.md names and puts what they print at the end of it, with machine and date.

    python -P -m benchmarks.collect [--only NAME] [--seconds S]

The hand-written part, above the mark, is left as it is: its figures are from runs that were looked at. Commands are
those of its indented lines, each once, without those whose arguments stand for something (OUT.jsonl).
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import psutil

from poise_tui.versions import version_lines

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
MARK = "<!-- collected by `make bench`: all below is written anew -->"
LINE = re.compile(r"^ {4}((?:[A-Z_]+=\S+ )*)python -P -m (benchmarks\.\S+)(.*?)(?: {2,}.*|#.*)?$", re.MULTILINE)
STANDS_FOR = re.compile(r"[A-Z]+(\.\w+)?")
NO_FIGURES = ("benchmarks.dashboard_screenshot",)
SECONDS = 900.0
"""After which a benchmark is ended and said to have taken longer."""


def commands(page: str, only: str | None = None) -> list[tuple[str, ...]]:
    """The benchmarks that a page names, in its order, each once: settings (`NAME=VALUE`), module, arguments.

    Args:
        only: those whose module ends so.
    """
    found: dict[tuple[str, ...], None] = {}
    for m in LINE.finditer(page.partition(MARK)[0]):
        arguments = shlex.split(m[3])
        wanted = m[2] not in NO_FIGURES and (only is None or m[2].endswith(only))
        if wanted and not any(STANDS_FOR.fullmatch(word) for word in arguments):
            found[(*m[1].split(), m[2], *arguments)] = None
    return list(found)


def shown(words: tuple[str, ...]) -> str:
    """A command as it is typed."""
    settings = [word for word in words if "=" in word and not word.startswith("-")]
    return shlex.join([*settings, "python", "-P", "-m", *(w for w in words if w not in settings)])


def machine() -> list[str]:
    """What the figures hang on, a line each."""
    cpus, memory = os.cpu_count(), psutil.virtual_memory().total / (1 << 30)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    listed = subprocess.run(["sh", "-c", "nvidia-smi -L 2>/dev/null"], capture_output=True, text=True).stdout
    gpus = "; ".join(re.sub(r" \(UUID.*", "", line) for line in listed.splitlines()) or "no GPU"
    when, system = time.strftime("%Y-%m-%d %H:%M"), f"{platform.system()} on {platform.machine()}"
    facts = f"{when}, {system}, {cpus} cores, {memory:.0f} GiB, {gpus}; load average before: {load}"
    return [facts, ", ".join(version_lines())]


def measure(words: tuple[str, ...], seconds: float) -> str:
    """What one benchmark prints, or how it failed."""
    began = time.monotonic()
    try:
        settings = dict(word.split("=", 1) for word in words if "=" in word and not word.startswith("-"))
        command = [sys.executable, "-P", "-m", *words[len(settings) :]]
        environment = {**os.environ, **settings}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"took longer than {seconds:g} s: not measured"
    took = f"({time.monotonic() - began:.0f} s)"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        return f"failed with {done.returncode}: {last} {took}"
    return f"{done.stdout.strip()}\n{took}"


def written(page: str, parts: list[tuple[str, str]], facts: list[str]) -> str:
    """The page with its collected part replaced.

    Args:
        parts: command and output.
        facts: of the machine.
    """
    text = [page.partition(MARK)[0].rstrip(), "", MARK, "", "## Collected", "", "\n\n".join(facts)]
    for command, output in parts:
        text += ["", f"    {command}", "", "```text", output.replace("```", "'''"), "```"]
    return "\n".join(text) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="Those whose module ends so.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="Of one benchmark, at most.")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    facts, parts = machine(), []
    for words in commands(given.page.read_text(encoding="utf-8"), given.only):
        print(shown(words), flush=True)
        parts.append((shown(words), measure(words, given.seconds)))
    # Read again: measuring takes hours, and somebody may have written meanwhile.
    given.page.write_text(written(given.page.read_text(encoding="utf-8"), parts, facts), encoding="utf-8")


if __name__ == "__main__":
    main()
