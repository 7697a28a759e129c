"""`poise export --format trl`: one candidate, or one algorithm's file, as a trainer that runs in plain TRL."""

import ast
from pathlib import Path

import tomli_w

from engine.algorithms.catalogue import catalogue
from engine.algorithms.render import render
from engine.profiles.schema import load_profile
from tests.cli.conftest import Poise, refusal, write_run


def soft() -> str:
    return render("Soft-GRPO", "Gates are soft.", [catalogue()["SoftGate"].choice(tau_positive=2.0)])


def run_with_algorithm(runs: Path) -> None:
    folder = write_run(runs, "mine")
    profile = load_profile("tiny").resolved()
    profile["train"]["learning_rate"] = 0.25
    (folder / "run.toml").write_text(tomli_w.dumps({"profile": without_none(profile)}))
    (folder / "candidates" / "c001").mkdir()
    (folder / "candidates" / "c001" / "algorithm.py").write_text(soft())


def without_none(value: dict[str, object]) -> dict[str, object]:
    return {k: without_none(v) if isinstance(v, dict) else v for k, v in value.items() if v is not None}


def classes(text: str) -> set[str]:
    return {node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}


def test_a_candidate_becomes_a_trainer_that_says_where_it_is_from(poise: Poise, runs: Path) -> None:
    run_with_algorithm(runs)
    done = poise("export", "mine", "--format", "trl", "--node", "c001")
    assert done.returncode == 0, done.stderr
    assert {"SoftGrpoTrainer", "SoftGate"} <= classes(done.stdout)
    header = ast.get_docstring(ast.parse(done.stdout)) or ""
    for said in ("run mine, candidate c001, training seeds 1", "Hypothesis: the root", "Overall 41.25 (add 30.0)"):
        assert said in header
    assert '"learning_rate": 0.25,' in done.stdout, "the settings are those of the run"
    assert '"seed": 1,' in done.stdout
    assert "\x1b" not in done.stdout


def test_the_root_of_a_run_is_exported_as_grpo(poise: Poise, runs: Path) -> None:
    run_with_algorithm(runs)
    assert "GrpoTrainer" in classes(poise("export", "--format", "trl", "--node", "c000").stdout)


def test_a_file_needs_no_run(poise: Poise, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(soft())
    done = poise("export", "--format", "trl", "--algorithm", "mine.py")
    assert done.returncode == 0, done.stderr
    assert "SoftGrpoTrainer" in classes(done.stdout)
    assert "the file mine.py" in done.stdout


def test_what_cannot_be_exported_is_refused_in_one_line(poise: Poise, runs: Path, tmp_path: Path) -> None:
    run_with_algorithm(runs)
    (tmp_path / "bad.py").write_text("import os\n")
    trl = ("export", "--format", "trl")
    assert "needs --node NODE of a run, or --algorithm" in refusal(poise(*trl), 2)
    assert "go with --format trl" in refusal(poise("export", "--node", "c001"), 2)
    assert "leave out the run" in refusal(poise("export", "mine", "--format", "trl", "--algorithm", "bad.py"), 2)
    assert "a run has its own" in refusal(poise(*trl, "--node", "c001", "--profile", "tiny"), 2)
    assert refusal(poise(*trl, "--node", "c009"), 3) == "run mine has no candidate c009"
    assert "import of os is not allowed" in refusal(poise(*trl, "--algorithm", "bad.py"), 1)
    assert "there is no such file" in refusal(poise(*trl, "--algorithm", "gone.py"), 1)
    assert "there is no such file" in refusal(poise(*trl, "--node", "c002"), 1)
    (runs / "mine" / "run.toml").write_text("")
    assert "run.toml cannot be read" in refusal(poise(*trl, "--node", "c001"), 1)
