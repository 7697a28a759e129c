"""A rendered file is one a person would write: it loads, says what was chosen, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.algorithms.catalogue import MechanismChoice, catalogue, conflicts, key_of
from engine.algorithms.lint import lint
from engine.algorithms.loader import load_algorithm
from engine.algorithms.render import render
from engine.errors import PoiseError
from engine.search.answers import read_algorithm


@st.composite
def compositions(draw: st.DrawFn) -> list[MechanismChoice]:
    """Up to four library mechanisms that work together, with constants worth trying."""
    names = draw(st.lists(st.sampled_from(sorted(catalogue())), min_size=1, max_size=4, unique=True))
    kept: list[str] = []
    for name in names:
        if not conflicts([catalogue()[n] for n in (*kept, name)]):
            kept.append(name)
    entries = [catalogue()[n] for n in kept]
    return [e.choice(**{k: draw(st.sampled_from(v)) for k, v in e.tunable.items()}) for e in entries]


@given(compositions(), st.text(max_size=200))
def test_what_is_rendered_reads_back_as_what_was_chosen(chosen: list[MechanismChoice], hypothesis: str) -> None:
    source = render("Any-GRPO", hypothesis, chosen)
    assert lint(source) == []
    name, mechanisms = read_algorithm(source)
    assert name == "Any-GRPO"
    assert [m.key for m in mechanisms] == [m.key for m in chosen]
    assert "tunable" not in source


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_mechanism_alone_makes_a_file_that_loads(name: str, tmp_path: Path) -> None:
    path = tmp_path / "algorithm.py"
    path.write_text(render(f"{name}-GRPO", "why it should help", [catalogue()[name].choice()]))
    algorithm = load_algorithm(path)
    assert algorithm.name == f"{name}-GRPO"
    assert [(m.name, m.params()) for m in algorithm.mechanisms] == [(name, dict(catalogue()[name].params))]


def test_rendered_files_are_formatted_and_import_only_what_they_use(tmp_path: Path) -> None:
    names = [e.name for e in catalogue().values() if max(map(len, _code(e.source))) <= 110]
    assert len(names) > len(catalogue()) // 2
    for i, name in enumerate(names):
        pair = [catalogue()[name], catalogue()[names[(i + 7) % len(names)]]]
        hypothesis = "a sentence that is long enough to be wrapped, " * 4
        (tmp_path / f"{name.lower()}.py").write_text(render("Pair-GRPO", hypothesis, [e.choice() for e in pair]))
    ruff = [sys.executable, "-m", "ruff"]
    for words in (["check", "--isolated", "--select", "F,I"], ["format", "--isolated", "--check"]):
        done = subprocess.run(
            [
                *ruff,
                *words,
                "--config",
                "line-length=110",
                "--config",
                "lint.isort.known-first-party=['engine']",
                ".",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _code(source: str) -> list[str]:
    return [line for line in source.splitlines() if '"""' not in line]


def test_a_mechanism_that_is_nowhere_is_refused_by_name() -> None:
    with pytest.raises(PoiseError, match="no mechanism Nowhere"):
        render("X-GRPO", "h", [MechanismChoice("Nowhere", {})])


OWN = '''\
import math
from typing import ClassVar

from engine.contract import Inner, Mechanism, Minibatch

BASE = 2.0
UNUSED = 3.0


def _half(x):
    return x / BASE


class Halved(Mechanism):
    """Halve the KL."""

    power: float = 1.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"power": (1.0, 2.0)}

    def kl(self, m: Minibatch, ratio, inner: Inner):
        return _half(inner(ratio)) ** self.power
'''


def test_helpers_and_constants_come_along_before_their_use_and_only_those() -> None:
    source = render("Own-GRPO", "h", [MechanismChoice("Halved", {"power": 2.0})], own={"Halved": OWN})
    assert source.index("BASE = 2.0") < source.index("def _half") < source.index("class Halved")
    assert "UNUSED" not in source and "import math" not in source and "ClassVar" not in source
    assert key_of(read_algorithm(source)[1]) == "Halved(power=2.0)"


def test_two_helpers_of_one_name_are_refused_rather_than_mixed_up() -> None:
    other = OWN.replace("Halved", "Other").replace("BASE = 2.0", "BASE = 4.0")
    with pytest.raises(PoiseError, match="two different definitions of BASE"):
        both = [MechanismChoice("Halved", {}), MechanismChoice("Other", {})]
        render("Own-GRPO", "h", both, own={"Halved": OWN, "Other": other})
