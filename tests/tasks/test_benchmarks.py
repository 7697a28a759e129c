"""The six benchmarks: what they are, that nothing is chosen by them, and how the paper weighs them."""

import csv
import json
from pathlib import Path

import pytest

from engine.errors import PoiseError
from engine.scoring.estimators import overall
from engine.tasks import TaskSet, load_taskset
from engine.tasks.benchmarks import BENCHMARKS, WEIGHTS, on_benchmarks, read_benchmark
from engine.tasks.sources import Hub, kept, read_hub, read_jsonl
from tests.tasks.shared import ROWS, shared_data


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_has_the_rows_of_the_papers_scores(name: str) -> None:
    rows = read_benchmark(name, shared_data() / "benchmarks")
    assert len(rows) == ROWS[name] == BENCHMARKS[name].rows
    assert all(row.question and row.gold for row in rows)


def test_a_set_of_another_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "amc.jsonl").write_text('{"problem": "1+1?", "answer": "2"}\n' * 40)
    with pytest.raises(PoiseError, match="has 40 rows and AMC has 83"):
        read_benchmark("amc", tmp_path)


def test_answers_are_read_by_the_form_each_set_gives_them(tmp_path: Path) -> None:
    given = [
        ("025", "025"),
        (142.0, "142"),
        ("142.0", "142.0"),
        ("['9.6\\n']", "9.6"),
        (["9.6\n"], "9.6"),
        (["a", "b\n", "a"], "a\nb"),
        (["$\\frac{1}{2}$"], "$\\frac{1}{2}$"),
        ("[0,1]", "[0,1]"),
        ("3 + 4 = 7\n#### 7", "7"),
        ("\\frac{1}{2}", "\\frac{1}{2}"),
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"question": "?", "answer": answer}) + "\n" for answer, _ in given))
    assert [row.gold for row in read_jsonl(path)] == [gold for _, gold in given]


def test_a_solution_gives_its_last_box_and_a_level_its_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"problem": "?", "solution": "so \\\\boxed{3}, no: \\\\boxed{\\\\frac12}", "level": "Level 5"}\n')
    (row,) = read_jsonl(path)
    assert (row.gold, row.level) == ("\\frac12", 5)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 1: "),
        ("[1]", "not a JSON object"),
        ('{"answer": "2"}', "no question"),
        ('{"problem": "?"}', "no answer"),
        ('{"problem": "?", "solution": "no box"}', "no answer"),
        ("", "is empty"),
    ],
)
def test_an_unusable_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(PoiseError, match=reason) as caught:
        read_jsonl(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_without_the_hub_one_line_says_what_to_do() -> None:
    with pytest.raises(PoiseError, match="HF_HUB_OFFLINE is set") as caught:
        read_hub(BENCHMARKS["aime24"].hub)
    assert "\n" not in str(caught.value) and "give a local file" in str(caught.value)


def test_what_was_fetched_once_is_read_from_this_machine() -> None:
    path = kept(BENCHMARKS["aime24"].hub)
    path.parent.mkdir(parents=True)
    path.write_text('{"problem": "1+1?", "answer": "2"}\n' * 30)
    assert len(read_benchmark("aime24")) == 30


def test_a_branch_is_no_revision() -> None:
    with pytest.raises(PoiseError, match="40 hexadecimal digits"):
        read_hub(Hub("owner/name", "main", "train"))


def test_nothing_but_confirmation_takes_their_problems() -> None:
    tasks = load_taskset("math-benchmarks", {"folder": str(shared_data() / "benchmarks")})
    assert isinstance(tasks, TaskSet)
    for split in ("train", "development"):
        with pytest.raises(PoiseError, match="for confirmation alone"):
            tasks.problems(split, "aime24", 1, 0)  # type: ignore[arg-type]
    problems = tasks.problems("confirmation", "aime24", 30, 0)
    assert len({p.id for p in problems}) == 30
    assert tasks.grade(problems[0], f"\\boxed{{{problems[0].gold}}}", False).correct


def test_they_are_scored_by_the_papers_protocol() -> None:
    profile = {
        "tasks": {"name": "grade-school", "options": {"template": "chatml"}},
        "score": {"problems": 10, "samples": 4, "k": 2, "max_completion_length": 100, "batch_size": 8, "threads": 1},
        "limits": {"score_seconds": 60.0},
    }
    made = on_benchmarks(profile, str(shared_data() / "benchmarks"))
    score = made["score"]
    assert score["problems"] == ROWS and score["k"] == 32 and score["max_completion_length"] == 4096
    assert (
        {n for n, s in score["samples"].items() if s == 32}
        == {"aime24", "aime25", "amc"}
        == {n for n, t in score["temperature"].items() if t == 1.0}
    )
    assert {score["temperature"][n] for n in ("math500", "minerva", "olympiadbench")} == {0.0}
    assert made["tasks"]["options"]["template"] == "chatml"
    assert made["limits"]["score_seconds"] > 60 * 100


def test_the_papers_overall_column_comes_out_of_our_code() -> None:
    table = list(csv.DictReader((shared_data() / "paper" / "table2_main_run.csv").open()))
    columns = {"aime24": "aime24_pass32", "aime25": "aime25_pass32", "amc": "amc_pass32", "math500": "math500_acc1"}
    columns |= {"minerva": "minerva_acc1", "olympiadbench": "olympiadbench_acc1"}
    assert len(table) == 64
    off = {}
    for row in table:
        made = overall({name: float(row[column]) for name, column in columns.items()}, WEIGHTS)
        if abs(made - float(row["overall"])) > 0.06:
            off[row["algorithm"]] = (float(row["overall"]), round(made, 2))
    assert off == {"RWE-GRPO": (42.7, 42.77)}, "the one row that the paper does not print as it computes"
