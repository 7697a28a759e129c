"""`make bench` collects what docs/benchmarks.md names and leaves its hand-written part alone."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks.collect import MARK, PAGE, commands, written

HAND = """# Benchmarks

It is *fast*.

    OMP_NUM_THREADS=1 python -P -m benchmarks.selection --nodes 3    # a remark
    python -P -m benchmarks.pipeline_overhead run OUT.jsonl

Told by hand.
"""
NAMED = [("OMP_NUM_THREADS=1", "benchmarks.selection", "--nodes", "3")]


def test_every_benchmark_that_the_page_names_is_there() -> None:
    named = commands(PAGE.read_text(encoding="utf-8"))
    assert len(named) > 7
    modules = [next(word for word in words if word.startswith("benchmarks.")) for words in named]
    assert [module for module in modules if find_spec(module) is None] == []


def test_what_was_written_by_hand_stays_and_what_was_collected_is_replaced() -> None:
    once = written(HAND, [("python -P -m benchmarks.selection --nodes 3", "12 ms")], ["a machine"])
    again = written(once, [("python -P -m benchmarks.selection --nodes 3", "13 ms")], ["another machine"])
    for page in (once, again):
        assert page.startswith(HAND.rstrip() + "\n")
        assert page.count(MARK) == 1
        assert commands(page) == NAMED, "what is collected names nothing more"
    assert "12 ms" in once
    assert "12 ms" not in again
    assert "another machine" in again


def test_a_benchmark_that_fails_or_takes_too_long_is_said_to(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("by hand\n\n    python -P -m benchmarks.nowhere\n    python -P -m benchmarks.engine_times\n")
    command = [sys.executable, "-P", "-m", "benchmarks.collect", "--page", str(page)]
    for only, says in (("nowhere", "No module named benchmarks.nowhere"), ("engine_times", "longer than 0.2 s")):
        limit = ["--seconds", "60" if only == "nowhere" else "0.2"]
        done = subprocess.run([*command, *limit, "--only", only], cwd=PAGE.parents[1], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        text = page.read_text()
        assert text.startswith("by hand\n")
        assert says in text
        assert "algorithm contract 1" in text
