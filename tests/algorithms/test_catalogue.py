"""The library read by AST says what the imported classes say."""

from __future__ import annotations

import importlib
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

import engine.search
from engine.algorithms.catalogue import (
    Entry,
    MechanismChoice,
    catalogue,
    conflicts,
    key_of,
    read_mechanisms,
    stages,
)
from engine.algorithms.render import render

NAMES = sorted(catalogue())


def imported(entry: Entry) -> type:
    found: type = getattr(importlib.import_module(f"engine.algorithms.library.{entry.module}"), entry.name)
    return found


def test_the_library_has_at_least_eight_mechanisms_and_each_names_its_source() -> None:
    assert len(catalogue()) >= 8
    unsourced = [e.name for e in catalogue().values() if "arXiv" not in e.doc and "DeepSeek-V3.2" not in e.doc]
    assert unsourced == []


@pytest.mark.parametrize("name", NAMES)
def test_reading_the_source_agrees_with_importing_it(name: str) -> None:
    entry = catalogue()[name]
    mechanism = imported(entry)()
    assert dict(entry.params) == mechanism.params()
    hooks = list(mechanism.hooks()) + ["on_optimizer_step"] * hasattr(mechanism, "on_optimizer_step")
    assert list(entry.stages) == hooks
    assert list(entry.replaces) == [s for s in mechanism.hooks() if mechanism.replaces(s)]
    assert {k: tuple(v) for k, v in getattr(mechanism, "tunable", {}).items()} == entry.tunable


@pytest.mark.parametrize("name", NAMES)
def test_what_may_be_tuned_is_a_constant_with_another_value_to_try(name: str) -> None:
    entry = catalogue()[name]
    for constant, values in entry.tunable.items():
        assert constant in entry.params
        assert set(values) - {entry.params[constant]}


def test_stages_are_the_contracts() -> None:
    from engine.algorithms.root import ROOT

    assert [s for s in stages() if s != "on_optimizer_step"] == list(ROOT)


def test_two_replacers_of_a_stage_conflict_and_the_pipeline_agrees() -> None:
    from engine.algorithms.pipeline import Pipeline
    from engine.contract import Algorithm
    from engine.errors import PoiseError

    refused = 0
    for a, b in itertools.combinations(catalogue().values(), 2):
        said = any("both replace" in problem for problem in conflicts([a, b]))
        algorithm = Algorithm("Pair-GRPO", (imported(a)(), imported(b)()))
        try:
            Pipeline(algorithm)
            assert not said, f"{a.name} and {b.name} compose"
        except PoiseError:
            assert said, f"{a.name} and {b.name} do not compose"
            refused += 1
    assert refused > 5


@pytest.mark.slow
def test_what_is_called_dead_beside_another_is_found_inert_by_the_verifier(tmp_path: Path) -> None:
    from engine.verify.verify import verify

    path, dead = tmp_path / "pair.py", 0
    for a, b in itertools.combinations(catalogue().values(), 2):
        problems = conflicts([a, b])
        if problems and all("does nothing" in p for p in problems):
            path.write_text(render("Pair-GRPO", "a pair", [a.choice(), b.choice()]))
            assert "is inert" in (verify(path)["cause"] or "it passed"), (a.name, b.name)
            dead += 1
    assert dead > 3


def test_sets_that_are_equal_have_one_key_whatever_their_order() -> None:
    a, b = MechanismChoice("A", {"x": 1, "y": 2.5}), MechanismChoice("B", {})
    same = MechanismChoice("A", {"y": 2.5, "x": 1.0})
    assert key_of([a, b]) == key_of([b, same]) == "A(x=1.0,y=2.5)+B()"
    assert key_of([]) == "" and key_of([a]) != key_of([MechanismChoice("A", {"x": 1, "y": 2.6})])


def test_a_file_of_ones_own_is_read_the_same_way() -> None:
    source = (
        "from engine.contract import Mechanism\n\n\nclass Own(Mechanism):\n"
        '    """First.\n\n    Second.\n    """\n\n    low: float = -1.5\n    on: bool = True\n\n'
        "    def kl(self, m, ratio, inner):\n        return ratio\n\n\nclass Other:\n    pass\n"
    )
    entries = read_mechanisms(source)
    assert list(entries) == ["Own"]
    own = entries["Own"]
    assert (own.doc, own.params, own.replaces) == ("First.", {"low": -1.5, "on": True}, ("kl",))


def test_the_search_never_imports_torch_and_litellm_only_when_it_calls() -> None:
    search = Path(engine.search.__file__).parent
    theirs = {"composer_provider", "fallbacks", "__init__"}
    modules = [f"engine.search.{path.stem}" for path in search.glob("*.py") if path.stem not in theirs]
    modules += ["engine.algorithms.catalogue", "engine.algorithms.render"]
    code = (
        f"import importlib, sys\nfor m in {modules!r}: importlib.import_module(m)\n"
        "from engine.algorithms.catalogue import catalogue\ncatalogue()\n"
        "print([m for m in ('torch', 'transformers', 'litellm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
