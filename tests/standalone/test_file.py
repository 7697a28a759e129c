"""What an exported file looks like, and that it stands alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from engine.algorithms.catalogue import catalogue
from engine.algorithms.render import render
from engine.errors import PoiseError
from engine.profiles.schema import load_profile
from engine.standalone.assemble import ROOT, class_name, standalone

TINY = load_profile("tiny").resolved()
CONFIG = Path(__file__).parents[2] / "pyproject.toml"
ALONE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("engine", "poise_tui"):
            raise ImportError(f"{name} is not for this process")
sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
try:
    import engine
except ImportError:
    import warnings, trl
    trl.__version__ = "9.9.9"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        import exported
    print([str(w.message) for w in said if "was made for" in str(w.message)])
    print(exported.SoftAvGrpoTrainer.__mro__[1].__name__, [m.name for m in exported.algorithm.mechanisms])
    config = exported.grpo_config(learning_rate=1e-3)
    print(config.learning_rate, config.beta, config.num_generations, config.loss_type, config.seed)
"""


def soft() -> str:
    return render("Soft-AV-GRPO", 'It is "soft".', [catalogue()[m].choice() for m in ("SoftGate", "TokenMean")])


def whole_library(replacers: bool) -> str:
    """Every mechanism class in one text, beside an algorithm of none."""
    names = [n for n in catalogue() if bool(catalogue()[n].replaces) is replacers]
    return render("All", "All of them.", [catalogue()[n].choice() for n in names])


def test_it_runs_where_nothing_of_ours_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "exported.py").write_text(standalone(soft(), TINY, seed=5))
    command = [sys.executable, "-P", "-c", ALONE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "['SoftAvGrpoTrainer was made for TRL 1.16.0, and this is 9.9.9']",
        "GRPOTrainer ['SoftGate', 'TokenMean']",
        "0.001 0.02 8 grpo 5",
    ]


def test_it_imports_the_standard_library_torch_transformers_and_trl_alone() -> None:
    tree = ast.parse(standalone(whole_library(replacers=False), TINY))
    froms = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    roots = {name.split(".")[0] for name in froms | names}
    assert roots - set(sys.stdlib_module_names) <= {"torch", "transformers", "trl"}


@pytest.mark.parametrize(
    "source",
    [ROOT, soft(), whole_library(True), whole_library(False)],
    ids=["root", "two mechanisms", "all that replace", "all the others"],
)
def test_it_is_clean_for_ruff_and_python(source: str, tmp_path: Path) -> None:
    path = tmp_path / "exported.py"
    path.write_text(standalone(source, TINY))
    compiled = [sys.executable, "-W", "error", "-m", "py_compile", str(path)]
    checked = [sys.executable, "-m", "ruff", "check", "--no-cache", "--config", str(CONFIG), str(path)]
    formatted = [sys.executable, "-m", "ruff", "format", "--no-cache", "--diff", "--config", str(CONFIG), str(path)]
    for command in (compiled, checked, formatted):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_its_header_tells_what_it_is_and_where_it_is_from() -> None:
    facts = {"From": "run r, candidate c003, training seeds 5", "Figures": "Overall 41.25", "Hypothesis": 'a """ b\\'}
    header = ast.get_docstring(ast.parse(standalone(soft(), TINY, facts)))
    assert header is not None
    assert header.startswith("Soft-AV-GRPO as a trainer for TRL")
    for said in (*("run r, candidate c003", "Overall 41.25", "TRL 1.16.0", "MIT"), "profile tiny", "LoRA r=16"):
        assert said in header


def test_nothing_of_the_grader_the_recorder_or_verification_is_in_it() -> None:
    text = standalone(soft(), TINY)
    for word in (
        "PoiseError",
        "grader",
        "self.on_batch",
        "self.frozen",
        "crossover",
        "verification",
        "engine.",
        "type: ignore",
    ):
        assert word not in text, word


def test_the_mechanisms_stand_before_the_machinery() -> None:
    text = standalone(soft(), TINY)
    order = [
        "class SoftGate",
        "algorithm = Algorithm(",
        "class Minibatch",
        "class Grpo",
        "class Pipeline",
        "GRPOTrainer)",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("algorithm", "trainer"),
    [
        ("VM-AV-GRPO", "VmAvGrpoTrainer"),
        ("HalfKl-GRPO", "HalfKlGrpoTrainer"),
        ("80/20", "Algorithm8020Trainer"),
        ("GRPO", "GrpoTrainer"),
    ],
)
def test_the_trainer_is_called_as_the_algorithm_is(algorithm: str, trainer: str) -> None:
    assert class_name(algorithm) == trainer


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (ROOT.replace("import Algorithm\n", "import Algorithm as A\n"), "by its own name"),
        (ROOT.replace('"GRPO")', "NAME)"), "with the name itself"),
        (ROOT + "\n\ndef nanstd(x):\n    return x\n", "nanstd: the exported file needs this name itself"),
    ],
    ids=["another name for the contract's", "a computed name", "a name of the machinery"],
)
def test_a_file_that_cannot_be_exported_is_refused_in_one_line(source: str, said: str) -> None:
    with pytest.raises(PoiseError, match=said):
        standalone(source, TINY)
