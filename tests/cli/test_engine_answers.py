"""What a real engine process says reaches the user: refusals word for word, and reports of jobs by hand."""

import json
from pathlib import Path

import pytest

from engine.errors import Exit, PoiseError
from poise_tui.client import resume_engine, start_engine
from tests.cli.conftest import Poise

REQUEST = {
    "profile": "tiny", "name": "mine", "candidates": None, "hours": None, "usd": None, "seed": 0,
    "workers": None, "llm": "poise/composer", "directive": None, "root": None,
}  # fmt: skip

HALVED = """
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Rollouts


class Halved(Mechanism):
    share: float = 0.5

    def shape_rewards(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        return inner(rewards) * self.share


algorithm = Algorithm(name="Halved", mechanisms=(Halved(),))
"""


def test_an_engine_that_refuses_to_start_says_why_and_leaves_no_run(runs: Path) -> None:
    request = {**REQUEST, "runs_dir": str(runs), "profile": "nonsense"}
    with pytest.raises(PoiseError, match="unknown profile 'nonsense'") as caught:
        start_engine(request)
    assert caught.value.code == Exit.USAGE
    assert not runs.exists()


def test_a_run_that_exists_is_refused_by_the_engine_too(runs: Path) -> None:
    (runs / "mine").mkdir(parents=True)
    with pytest.raises(PoiseError, match="run mine exists") as caught:
        start_engine({**REQUEST, "runs_dir": str(runs)})
    assert caught.value.code == Exit.REFUSED
    assert list((runs / "mine").iterdir()) == []


def test_a_folder_without_a_run_is_not_resumed(runs: Path) -> None:
    runs.mkdir()
    with pytest.raises(PoiseError, match="no run") as caught:
        resume_engine(runs / "nothing")
    assert caught.value.code == Exit.NOT_FOUND


def test_an_engine_that_dies_before_it_answers_is_reported_with_its_last_words(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # Python itself cannot start
    with pytest.raises(PoiseError, match="the engine did not start: "):
        start_engine({**REQUEST, "runs_dir": str(runs)})


def test_verify_shows_each_check_of_a_good_file(poise: Poise, tmp_path: Path) -> None:
    (tmp_path / "halved.py").write_text(HALVED)
    done = poise("verify", "halved.py")
    assert done.returncode == 0, done
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("    ok  loads: ")
    told = next(line for line in lines if line.startswith("        Halved(share=0.5) at shape_rewards; acts in "))
    assert told.endswith(" recorded batches")
    assert lines[-1] == "halved.py passed"


def test_describe_lists_constants_and_bounds_without_running_anything(poise: Poise, tmp_path: Path) -> None:
    (tmp_path / "halved.py").write_text(HALVED.replace("algorithm =", "print('it ran')\nalgorithm ="))
    own = poise("verify", "halved.py", "--describe")
    assert own.returncode == 0 and "it ran" not in own.stdout
    assert own.stdout.splitlines()[0] == "Halved at shape_rewards"
    library = json.loads(poise("verify", "--describe", "--json").stdout)
    floored = next(row for row in library if row["name"] == "FlooredStd")
    assert len(library) >= 40 and floored["stages"] == ["scale"]
    assert floored["constants"][0].items() >= {"name": "sigma_min", "type": "float", "default": 0.1}.items()
    low, high = floored["constants"][0]["range"]
    assert low < 0.1 < high


def test_a_published_algorithm_is_described_as_a_file_that_verifies(poise: Poise, tmp_path: Path) -> None:
    described = poise("verify", "--describe", "VM-AV-GRPO")
    (tmp_path / "vm_av.py").write_text(described.stdout)
    done = poise("verify", "vm_av.py")
    assert done.returncode == 0, done
    assert "confirmed: lifts_all_pass" in done.stdout
    lost = poise("verify", "--describe", "VM-AV-GRPPO")
    assert (lost.returncode, lost.stdout) == (2, "")
    assert "did you mean VM-AV-GRPO" in lost.stderr


def test_verify_of_a_file_that_cannot_train_names_its_fault_in_one_line(poise: Poise, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def (\n")
    done = poise("verify", "bad.py")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("poise: bad.py failed: ")
    assert "syntax error in line 1" in done.stderr
