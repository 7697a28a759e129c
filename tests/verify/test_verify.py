"""A file that cannot train ends in one clear line, before it costs a training."""

from pathlib import Path

import pytest

from engine.algorithms.loader import lint
from engine.verify.verify import verify

HEAD = """import torch
from torch import Tensor
from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts
"""


def file(folder: Path, body: str) -> Path:
    path = folder / "algorithm.py"
    path.write_text(HEAD + body)
    return path


def mechanism(hook: str, body: str, tail: str = "algorithm = Algorithm(name='T', mechanisms=(M(),))") -> str:
    ctx = (
        "m: Minibatch" if hook in ("ratio", "kl", "surrogate", "weights", "aggregate", "regularize") else "r: Rollouts"
    )
    signature = f"def {hook}(self, {ctx}, x: Tensor, inner: Inner) -> Tensor:"
    return f"class M(Mechanism):\n    factor: float = 2.0\n    {signature}\n        {body}\n{tail}\n"


def test_a_good_file_passes_and_is_described(tmp_path: Path) -> None:
    report = verify(file(tmp_path, mechanism("advantages", "return self.factor * inner(x)")))
    assert report["passed"], report
    assert report["algorithm"] == "T"
    assert report["mechanisms"] == [{"name": "M", "params": {"factor": 2.0}, "stages": ["advantages"]}]
    assert all(c["passed"] for c in report["checks"])


def test_equal_behaviour_has_an_equal_fingerprint_whatever_its_names(tmp_path: Path) -> None:
    one = verify(file(tmp_path, mechanism("advantages", "return inner(x) * 2.0")))
    other = verify(
        file(tmp_path, mechanism("advantages", "y = inner(x)\n        return y + y").replace("'T'", "'Other'"))
    )
    third = verify(file(tmp_path, mechanism("advantages", "return inner(x) * 3.0")))
    assert one["fingerprint"] == other["fingerprint"] != third["fingerprint"]


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("class M(Mechanism:\n", "syntax error in line 4"),
        ("import socket\n" + mechanism("advantages", "return inner(x)"), "import of socket is not allowed"),
        ("from os import path\n" + mechanism("advantages", "return inner(x)"), "import of os is not allowed"),
        ("x = open('/etc/passwd')\nalgorithm = 1\n", "open() is not allowed"),
        ("x = 1\n", "nothing named `algorithm` is assigned"),
        ("algorithm = 3\n", "`algorithm` is a int, not an Algorithm"),
        ("algorithm = Algorithm('T', (1,))\n", "mechanisms must be a tuple of Mechanism"),
        ("algorithm = undefined_name\n", "line 4: NameError"),
        (mechanism("advantages", "return inner(x)[:3]"), "stage advantages returned shape (3,)"),
        (mechanism("advantages", "return inner(x) / 0.0"), "not finite"),
        (mechanism("advantages", "return inner(x) * float('nan')"), "not finite"),
        (mechanism("advantages", "return 3.0"), "returned float, not a tensor"),
        (mechanism("advantages", "return inner(x)"), "M is inert"),
        (mechanism("surrogate", "return inner(x).detach() + m.mask * 0"), "no gradient"),
        (mechanism("aggregate", "return inner(x).mean(dim=3)"), "IndexError"),
        (mechanism("aggregate", "return x.mean()"), "padding columns change"),
        (mechanism("advance", "return inner(x)"), "hooks no stage"),
    ],
)
def test_a_broken_file_is_one_clear_line(tmp_path: Path, body: str, cause: str) -> None:
    report = verify(file(tmp_path, body))
    assert not report["passed"]
    assert cause in report["cause"]
    assert "\n" not in report["cause"]
    assert report["checks"][-1] == {"name": "stopped", "passed": False, "detail": report["cause"]}


def test_lint_needs_no_import_of_the_candidate() -> None:
    assert lint("raise SystemExit\nalgorithm = 1") == []


def test_lint_refuses_a_file_that_no_one_can_read() -> None:
    assert "limit" in lint("#" * 100_000)[0]
    assert lint("algorithm = " + "(" * 5000)


def test_the_example_in_the_readme_works(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    example = readme.split("```python\n")[1].split("```")[0]
    (tmp_path / "optimist.py").write_text(example)
    report = verify(tmp_path / "optimist.py")
    assert report["passed"], report["cause"]
    assert report["mechanisms"][0]["params"] == {"factor": 0.25}
