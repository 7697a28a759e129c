"""Benchmark problems are found in training data, changed ones too, and honest ones are left alone."""

import json
from pathlib import Path

import pytest

from engine.tasks.benchmarks import BENCHMARKS, read_benchmark
from engine.tasks.overlap import main, matches, runs
from engine.tasks.sources import read_jsonl
from tests.tasks.shared import shared_data

LONG = "Every morning Aya goes for a walk of nine kilometers and stops at a coffee shop afterwards, where she reads."


def test_a_run_is_ten_words_and_a_short_problem_is_one() -> None:
    assert runs("What is 1 + 1?") == {"what is 1 1"}
    assert len(runs(" ".join("abcdefghijkl"))) == 3


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (LONG, 1.0),
        (LONG.upper().replace(",", " ;"), 1.0),
        ("Solve this: " + LONG + " How long does it take?", 1.0),
        (LONG.replace("she reads", "he writes"), 0.8),
        ("Every morning Aya goes for a walk, and stops.", None),
        ("Another problem that shares no run of words with the one that is asked in the benchmark at all.", None),
    ],
)
def test_a_problem_is_found_however_it_is_dressed_up(text: str, found: float | None) -> None:
    got = matches(["What is 2 + 2?", text], {"aime24": ["Something else that is long enough to be a run.", LONG]})
    assert [(m.train, m.benchmark, m.index) for m in got] == ([(1, "aime24", 1)] if found else [])
    assert not found or got[0].covered == pytest.approx(found, abs=0.1)


def test_planted_problems_are_reported_by_set_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared_data() / "benchmarks"
    planted = [read_benchmark(name, folder)[3].question for name in BENCHMARKS]
    own = [row.question for row in read_jsonl(folder / "gsm8k.jsonl")[:300]]
    path, clean = tmp_path / "train.jsonl", tmp_path / "clean.jsonl"
    path.write_text("".join(json.dumps({"problem": text, "answer": "1"}) + "\n" for text in [*own, *planted]))
    assert main([str(path), "--benchmarks", str(folder)]) == 1
    told = capsys.readouterr().out
    assert told.endswith("6 training problems to leave out\n")
    for name in BENCHMARKS:
        assert f"{name:<14}    1 of" in told
    assert main([str(path), "--benchmarks", str(folder), "--out", str(clean)]) == 0
    assert [row.question for row in read_jsonl(clean)] == own
    assert main([str(clean), "--benchmarks", str(folder)]) == 0
    assert "no overlap found" in capsys.readouterr().out


def test_what_is_missing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.jsonl")]) == 3
    assert main(["math"]) == 1
    assert [line.startswith("overlap: ") for line in capsys.readouterr().err.splitlines()] == [True, True]
