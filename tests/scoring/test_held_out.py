"""Tasks that are graded outside the sandbox: the grader serves held-out problems, and no answer is in the scorer."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.algorithms.render import render
from engine.errors import PoiseError
from engine.loop.graders import Graders
from engine.profiles.schema import FOLDER
from engine.scoring.held_out import ByGrader
from engine.scoring.scorer import run_job
from engine.tasks import load_taskset
from engine.tasks.allowance import Allowance
from engine.tasks.grader_client import GraderProcess


@pytest.fixture(scope="module")
def grader() -> Iterator[GraderProcess]:
    with GraderProcess() as process:
        yield process


def connected(grader: GraderProcess, job: dict[str, Any], name: str = "tiny") -> int:
    score = job["profile"]["score"]
    scored = {"split": job["split"], "problems": score["problems"]}
    allowance = Allowance.of_scoring(score, load_taskset(name).names)
    return grader.connect(name, {}, job["score_seed"], allowance=allowance, scored=scored).detach()


def test_a_score_is_the_same_to_the_last_response_whoever_grades(job: dict[str, Any], grader: GraderProcess) -> None:
    by_grader = run_job({**job, "grader_fd": connected(grader, job)})
    assert {**by_grader, "seconds": 0} == {**run_job(job), "seconds": 0}


def test_the_scorer_gets_the_problems_of_its_split_without_their_answers(
    job: dict[str, Any], grader: GraderProcess
) -> None:
    job["profile"]["score"]["problems"] = {name: 3 + i for i, name in enumerate(load_taskset("tiny").names)}
    source = ByGrader(connected(grader, job))
    for i, name in enumerate(load_taskset("tiny").names):
        wanted = load_taskset("tiny").problems(job["split"], name, 3 + i, job["score_seed"])
        assert [(p.id, p.prompt, p.gold) for p in source.problems(name)] == [(p.id, p.prompt, "") for p in wanted]


def test_a_scorer_may_ask_once_for_each_response_and_no_more(job: dict[str, Any], grader: GraderProcess) -> None:
    job["profile"]["score"] |= {"problems": 1, "samples": 4}
    source = ByGrader(connected(grader, job))
    problems = [p for name in load_taskset("tiny").names for p in source.problems(name)]
    grades = source.grade(problems, [[("#1", False)] * 4] * len(problems))
    assert [len(row) for row in grades] == [4] * 6
    with pytest.raises(PoiseError, match="more than 24 completions"):
        source.grade(problems[:1], [[("#1", False)]])


OUTSIDE = """
from engine.errors import PoiseError
from engine.tasks.tiny import TinyTasks

class Outside(TinyTasks):
    outside = True

def taskset(options):
    return Outside()
"""


async def test_only_tasks_that_ask_for_it_are_graded_outside(tmp_path: Path, job: dict[str, Any]) -> None:
    (tmp_path / "outside.py").write_text(OUTSIDE)
    train = {"prompts_per_batch": 2, "group_size": 2, "updates": 2, "updates_per_batch": 2, "max_completion_length": 24}
    for name, kinds in (("tiny", ("train",)), (str(tmp_path / "outside.py"), ("train", "score"))):
        profile = {**job["profile"], "tasks": {"name": name, "options": {}}, "train": train}
        graders = Graders(profile, 1)
        try:
            assert graders.kinds == kinds
            asked = {**job, "id": "s", "kind": "score", "profile": profile}
            source = ByGrader((await graders.connect(asked)).detach())
            assert len(source.problems("mul")) == job["profile"]["score"]["problems"]
        finally:
            graders.close()


@pytest.mark.slow
def test_in_the_sandbox_a_training_and_a_score_of_such_tasks_go_through_the_grader(tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text(OUTSIDE)
    text = (FOLDER / "tiny.toml").read_text().replace('name = "tiny"              # six', 'name = "./outside.py" # six')
    small = {
        "updates = 48": "updates = 2",
        "checkpoint_every = 16": "checkpoint_every = 2",
        "problems = 120": "problems = 4",
    }
    for old, new in small.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "my.toml").write_text(text)
    (tmp_path / "grpo.py").write_text(render("GRPO", "the root", ()))
    poise = [sys.executable, "-P", "-m", "poise_tui"]
    subprocess.run([*poise, "train", "grpo.py", "--profile", "my.toml", "--out", "out"], cwd=tmp_path, check=True)
    found = [
        json.loads(
            subprocess.run([*poise, "score", "out", "--json"], cwd=tmp_path, check=True, stdout=subprocess.PIPE).stdout
        )
        for _ in range(2)
    ]
    assert found[0]["outcomes"] == found[1]["outcomes"] and len(found[0]["outcomes"]["mul"]) == 4
