"""Do training problems hold benchmark problems? By shared runs of words, which outlast a changed number or ending.

    python -P -m engine.tasks.overlap TRAIN.jsonl [--benchmarks FOLDER] [--out CLEAN.jsonl]

TRAIN may also be `math`, the hub's training set of the task set `math`. Without --benchmarks the hub's six are taken.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import PoiseError
from engine.tasks.benchmarks import BENCHMARKS, read_benchmark
from engine.tasks.math_problems import MATH_TRAIN, canonical
from engine.tasks.sources import Row, read_hub, read_jsonl

RUN = 10
"""Words of a run; a shorter problem is one run as a whole. GPT-3 (arXiv 2005.14165, app. C) took 13 of longer texts."""
COVERED = 0.5
"""Share of a benchmark problem's runs in one training problem from which it counts as the same."""


@dataclass(frozen=True)
class Match:
    """A training problem that holds a benchmark's.

    Attributes:
        train: its index.
        benchmark: the name of the set, and `index` of the problem there.
        covered: share of that problem's runs; 1 where the words are the same.
    """

    train: int
    benchmark: str
    index: int
    covered: float


def runs(question: str, length: int = RUN) -> frozenset[str]:
    """All runs of so many words, case and punctuation aside."""
    words = canonical(question).split()
    return frozenset(" ".join(words[i : i + length]) for i in range(max(1, len(words) - length + 1)))


def matches(train: Sequence[str], benchmarks: Mapping[str, Sequence[str]], covered: float = COVERED) -> list[Match]:
    """The training problems that hold a benchmark problem, each with the one that it holds most of.

    Args:
        train: questions.
        benchmarks: by name, questions.
        covered: see `COVERED`.
    """
    places: dict[str, list[tuple[str, int]]] = {}
    sizes: dict[tuple[str, int], int] = {}
    for name, questions in benchmarks.items():
        for index, question in enumerate(questions):
            own = runs(question)
            sizes[name, index] = len(own)
            for run in own:
                places.setdefault(run, []).append((name, index))
    found = []
    for number, question in enumerate(train):
        shared: dict[tuple[str, int], int] = {}
        for run in runs(question):
            for place in places.get(run, ()):
                shared[place] = shared.get(place, 0) + 1
        best = max(shared, key=lambda place: shared[place] / sizes[place], default=None)
        if best is not None and shared[best] / sizes[best] >= covered:
            found.append(Match(number, *best, shared[best] / sizes[best]))
    return found


def report(train: Sequence[str], benchmarks: Mapping[str, Sequence[str]], found: Sequence[Match]) -> str:
    """What was found, a line for each benchmark, and the matches themselves."""
    lines = [f"{len(train)} training problems against {sum(map(len, benchmarks.values()))} benchmark problems:"]
    for name, questions in benchmarks.items():
        own = [match for match in found if match.benchmark == name]
        whole = sum(match.covered == 1.0 for match in own)
        hit = len({match.index for match in own})
        lines.append(
            f"  {name:<14} {hit:>4} of {len(questions):>4} are in the training problems ({whole} word for word)"
        )
    for match in found[:20]:
        text = " ".join(train[match.train].split())[:80]
        lines.append(f"  train {match.train + 1}: {match.benchmark} {match.index + 1}, {match.covered:.0%}: {text}")
    if len(found) > 20:
        lines.append(f"  and {len(found) - 20} more")
    verdict = f"{len(found)} training problems to leave out" if found else "no overlap found"
    return "\n".join([*lines, verdict])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; see the head of this file. Ends with 1 where there is an overlap and it was not left out."""
    parser = argparse.ArgumentParser(
        prog="engine.tasks.overlap", description="Find benchmark problems in training data"
    )
    parser.add_argument("train", help="a JSONL file, or `math`")
    parser.add_argument("--benchmarks", type=Path, help="folder of the six JSONL files")
    parser.add_argument("--out", type=Path, help="write the training problems without them to this JSONL file")
    asked = parser.parse_args(arguments)
    try:
        rows: list[Row] = read_hub(MATH_TRAIN) if asked.train == "math" else read_jsonl(Path(asked.train))
        sets = {name: [row.question for row in read_benchmark(name, asked.benchmarks)] for name in BENCHMARKS}
        if asked.out and asked.train == "math":
            raise PoiseError("--out needs a JSONL file to leave problems out of")
    except PoiseError as error:
        print(f"overlap: {error}", file=sys.stderr)
        return int(error.code)
    train = [row.question for row in rows]
    found = matches(train, sets)
    print(report(train, sets, found))
    if asked.out:
        dropped = {match.train for match in found}
        lines = [line for line in Path(asked.train).read_text(encoding="utf-8").split("\n") if line.strip()]
        asked.out.write_text("".join(f"{line}\n" for i, line in enumerate(lines) if i not in dropped), encoding="utf-8")
        return 0
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
