"""How many answers the grader grades in a second of one core, its own and the judge's processor time together.

    python -P -m benchmarks.grading FOLDER [--printed-anew]

FOLDER has the six benchmarks as JSONL. For every gold three responses are graded: the gold itself, written otherwise,
and the gold of another problem of the set; each in a long response, as a policy gives it. Nothing is graded twice, so
no cache helps. With --printed-anew every gold is parsed and printed by sympy instead, and what is then wrong is told.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import sympy
from math_verify import parse

from engine.tasks.benchmarks import BENCHMARKS, read_benchmark
from engine.tasks.math_answers import plain, quick
from engine.tasks.math_grading import is_right, judge_response
from engine.tasks.math_judge import JUDGE, _settings

SHORT = 12
"""Characters of a short answer."""
WORDS = "Let us see what follows from that, and then go on with the next step. " * 20


def cases(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Set, gold and an answer to grade."""
    rng = random.Random(0)
    for name in BENCHMARKS:
        golds = [row.gold for row in read_benchmark(name, folder)]
        for i, gold in enumerate(golds):
            first, other = gold.split("\n")[0], rng.choice(golds).split("\n")[0]
            for answer in (first, first.replace("\\frac", "\\dfrac") + f" \\text{{ units{i}}}", other):
                yield name, gold, answer


def processor_time(judge: bool) -> float:
    """Of this process, and of the judge's and its worker's."""
    own = time.process_time()
    if not judge:
        return own
    assert JUDGE._process is not None
    process = psutil.Process(JUDGE._process.pid)
    for one in (process, *process.children()):
        times = one.cpu_times()
        own += times.user + times.system + times.children_user + times.children_system
    return own


def main(folder: Path) -> None:
    """Print a table: all answers of each set, and the short ones of all sets together."""
    JUDGE.equal("x+y", "y+x")  # its start is not measured
    rows: dict[str, list[tuple[float, bool]]] = {}
    for name, gold, answer in cases(folder):
        read = any(quick(plain(line), plain(answer)) is not None for line in gold.split("\n"))
        plain.cache_clear()
        is_right.cache_clear()
        begun = processor_time(not read)
        judge_response(gold, f"{WORDS}\\boxed{{{answer}}}.", False)
        took = processor_time(not read) - begun
        for key in (name, *(["all, short"] if max(len(gold), len(answer)) <= SHORT else []), "all"):
            rows.setdefault(key, []).append((took, read))
    print("| set | gradings | a second | read off | median us |")
    print("|---|---|---|---|---|")
    for key in (*BENCHMARKS, "all, short", "all"):
        found = rows[key]
        total, share = sum(t for t, _ in found), sum(r for _, r in found) / len(found)
        median = sorted(t for t, _ in found)[len(found) // 2] * 1e6
        print(f"| {key} | {len(found)} | {len(found) / total:.0f} | {share:.0%} | {median:.0f} |")


def printed_anew(folder: Path) -> None:
    """Print the golds that are wrong once sympy has printed them, and those that are not parsed."""
    total = right = 0
    for name in BENCHMARKS:
        for row in read_benchmark(name, folder):
            gold, total = row.gold.split("\n")[0], total + 1
            found = parse(f"${plain(gold)}$", list(_settings()))
            if not found or not isinstance(found[0], sympy.Basic | sympy.MatrixBase):
                print(f"{name}: not parsed: {gold}")
                continue
            begun = time.perf_counter()
            if is_right(row.gold, sympy.latex(found[0])):
                right += 1
            else:
                print(f"{name}: wrong: {gold}  printed as  {sympy.latex(found[0])}")
            if (took := time.perf_counter() - begun) > 1:
                print(f"{name}: slow, {took:.1f} s: {gold}")
    print(f"{right} of {total} are right")


if __name__ == "__main__":
    (printed_anew if "--printed-anew" in sys.argv[2:] else main)(Path(sys.argv[1]))
