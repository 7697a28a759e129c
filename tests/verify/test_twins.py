"""A candidate that was there before, in other words or in another size, is recognised before it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.algorithms.catalogue import catalogue
from engine.algorithms.render import render
from engine.search.twins import find_twin
from engine.verify.regimes import HYPER
from engine.verify.verify import verify


def report(folder: Path, *mechanisms: str, **params: float) -> dict[str, Any]:
    path = folder / "algorithm.py"
    path.write_text(render("X-GRPO", "h", [catalogue()[m].choice(**params) for m in mechanisms]))
    found = verify(path)
    assert found["passed"], found["cause"]
    return found


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("archive")
    return {
        "c000": report(folder),
        "c001": report(folder, "NoStd"),
        "c002": report(folder, "ClipHigher", "NegativeWeight"),
    }


def test_the_same_mechanisms_in_another_order_are_a_duplicate(tmp_path: Path, archive: dict[str, Any]) -> None:
    twin = find_twin("c003", {**archive, "c003": report(tmp_path, "NegativeWeight", "ClipHigher")})
    assert twin is not None and twin.duplicate
    assert (twin.id, twin.kind, twin.sentence) == ("c002", "equal", "behaves like c002")


def test_what_acts_on_no_batch_of_the_profile_is_a_duplicate_there(tmp_path: Path, archive: dict[str, Any]) -> None:
    twin = find_twin("c003", {**archive, "c003": report(tmp_path, "NoStd", "DualClip")})
    assert twin is not None and twin.duplicate
    assert (twin.id, twin.kind) == ("c001", "equal here")
    assert "on every batch recorded from this profile's root" in twin.sentence


def test_rloo_is_named_as_the_scale_twin_of_dr_grpo_and_trains_since_kl_does_not_scale(
    tmp_path: Path, archive: dict[str, Any]
) -> None:
    twin = find_twin("c003", {**archive, "c003": report(tmp_path, "LeaveOneOut", "NoStd")})
    assert twin is not None and not twin.duplicate
    assert (twin.id, twin.kind) == ("c001", "scale of the policy gradient")
    assert twin.factor == pytest.approx(HYPER.group_size / (HYPER.group_size - 1), rel=1e-3)


def test_the_whole_loss_times_a_factor_is_a_duplicate(tmp_path: Path, archive: dict[str, Any]) -> None:
    path = tmp_path / "trebled.py"
    path.write_text(
        "from torch import Tensor\n\nfrom engine.contract import Algorithm, Inner, Mechanism, Minibatch\n\n\n"
        "class Trebled(Mechanism):\n"
        "    def regularize(self, m: Minibatch, loss: Tensor, inner: Inner) -> Tensor:\n"
        "        return 3 * inner(loss) + 2 * loss\n\n\n"
        'algorithm = Algorithm(name="Trebled-GRPO", mechanisms=(Trebled(),))\n'
    )
    twin = find_twin("c003", {**archive, "c003": verify(path)})
    assert twin is not None and twin.duplicate
    assert (twin.id, twin.kind) == ("c000", "scale") and twin.factor == pytest.approx(3.0, rel=1e-3)
    assert twin.sentence == "a scale-twin of c000: its gradient is 3 times that one's, which Adam removes"


def test_what_is_new_has_no_twin(tmp_path: Path, archive: dict[str, Any]) -> None:
    assert find_twin("c003", {**archive, "c003": report(tmp_path, "MeanScale")}) is None
