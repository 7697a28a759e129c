"""Pre-flight of sound files: what passes, what the report says, and who is recognised as whom."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from engine.algorithms.catalogue import catalogue
from engine.algorithms.loader import load_algorithm
from engine.algorithms.recipes import recipes
from engine.algorithms.render import render
from engine.profiles.schema import load_profile
from engine.verify.fingerprint import fingerprint
from engine.verify.recorded import recorded
from engine.verify.regimes import regimes
from engine.verify.verify import run_job, verify

WARM_SECONDS = 3.0

FILE = '''\
"""A file of somebody's own."""

import torch
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch, Rollouts


class {name}(Mechanism):
    factor: float = {factor}

    def {stage}(self, ctx: {context}, x: Tensor, inner: Inner) -> Tensor:
        {body}


algorithm = Algorithm(name="{name}-GRPO", mechanisms=({name}(),))
'''


def written(folder: Path, body: str, name: str = "Own", stage: str = "advantages", factor: float = 2.0) -> Path:
    context = "Rollouts" if stage in ("advantages", "shape_rewards") else "Minibatch"
    path = folder / f"{name}.py"
    path.write_text(FILE.format(name=name, body=body, stage=stage, context=context, factor=factor))
    return path


def rendered(folder: Path, *names: str, **params: float) -> Path:
    path = folder / f"{'_'.join(names) or 'grpo'}.py"
    path.write_text(render("X-GRPO", "h", [catalogue()[n].choice(**params) for n in names]))
    return path


@pytest.mark.parametrize("name", sorted(recipes()))
def test_every_published_algorithm_passes_with_its_claims_confirmed(tmp_path: Path, name: str) -> None:
    path = tmp_path / "algorithm.py"
    path.write_text(recipes()[name].file())
    report = verify(path)
    assert report["passed"], report["cause"]
    assert report["algorithm"] == name
    assert [c["claim"] for c in report["claims"]] == list(recipes()[name].claims)
    assert all(c["holds"] for c in report["claims"])
    assert all(m["acts"] for m in report["mechanisms"])
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_mechanism_of_the_library_passes_alone(tmp_path: Path, name: str) -> None:
    report = verify(rendered(tmp_path, name))
    assert report["passed"], report["cause"]


def test_two_published_algorithms_never_behave_alike(tmp_path: Path) -> None:
    seen: dict[str, str] = {}
    for name, recipe in recipes().items():
        path = tmp_path / "algorithm.py"
        path.write_text(recipe.file())
        digest = fingerprint(load_algorithm(path), regimes())
        assert digest not in seen, f"{name} is {seen[digest]}"
        seen[digest] = name


def test_the_report_says_where_each_mechanism_acts_in_theory_and_on_the_profile(tmp_path: Path) -> None:
    report = verify(rendered(tmp_path, "SilenceAllFail", "DualClip"))
    assert report["passed"]
    silence, clip = report["mechanisms"]
    assert "all-fail, all-pass and mixed groups" in silence["acts"] and "everything passes" not in silence["acts"]
    assert silence["acts_on_profile"] > 0
    assert clip["acts"] == [c.name for c in regimes() if c.name in clip["acts"]] and clip["acts_on_profile"] == 0
    assert [w for w in report["warnings"] if w.startswith("DualClip is inert on this profile")]
    assert not [w for w in report["warnings"] if "SilenceAllFail" in w]
    assert silence["params"] == {"factor": 0.0} and silence["ranges"]["factor"][0] == 0.0


def test_a_profile_without_batches_of_its_own_is_said_apart(tmp_path: Path) -> None:
    tiny = load_profile("tiny").resolved()
    harder = {**tiny, "train": {**tiny["train"], "beta": 2 * tiny["train"]["beta"]}}
    for profile in ({**tiny, "name": "somebody's own"}, harder):
        report = run_job({"algorithm": str(rendered(tmp_path, "DualClip")), "profile": profile})
        assert report["passed"] and report["warnings"] == []
        assert report["mechanisms"][0]["acts_on_profile"] is None and report["profile_fingerprint"] is None
    report = run_job({"algorithm": str(rendered(tmp_path, "DualClip")), "profile": tiny})
    assert report["mechanisms"][0]["acts_on_profile"] == 0 and report["warnings"]


def test_the_rules_are_watched_on_the_profiles_own_batches_too(tmp_path: Path) -> None:
    """128 rows at once are in no synthetic regime: only the recorded batches of `tiny` show this fault."""
    path = written(tmp_path, "return inner(x)[:100] if len(x) > 100 else self.factor * inner(x)")
    report = verify(path)
    failed = report["checks"][-1]
    assert (failed["name"], failed["stage"]) == ("hooks keep the rules", "advantages")
    assert failed["regime"] in {case.name for case in recorded("tiny")}
    assert (failed["expected"], failed["found"]) == ("shape (128,) or (128, 24)", "shape (100,)")


def test_equal_behaviour_has_an_equal_fingerprint_whatever_its_text(tmp_path: Path) -> None:
    one = verify(written(tmp_path, "return inner(x).clamp(-self.factor, self.factor)"))
    other = verify(written(tmp_path, "return torch.where(inner(x).abs() > 2, inner(x).sign() * 2, inner(x))", "Else"))
    third = verify(written(tmp_path, "return inner(x).clamp(-self.factor, self.factor)", "Third", factor=1.5))
    assert one["passed"] and other["passed"] and third["passed"]
    assert one["fingerprint"] == other["fingerprint"] != third["fingerprint"]
    assert one["profile_fingerprint"] == other["profile_fingerprint"] != third["profile_fingerprint"]


def test_verification_is_the_same_in_any_order_and_leaves_no_trace(tmp_path: Path) -> None:
    path = rendered(tmp_path, "CovarianceClip", "AdaptiveEntropy")
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = verify(path)
    assert torch.equal(before, torch.random.get_rng_state())
    verify(rendered(tmp_path, "HistoryWeight"))
    torch.manual_seed(2)
    assert verify(path) == first


def test_a_warm_verification_of_the_longest_algorithm_is_a_matter_of_seconds(tmp_path: Path) -> None:
    """Process time, not wall time: what else runs on the machine does not count."""
    longest = max(recipes().values(), key=lambda r: len(r.mechanisms))
    path = tmp_path / "algorithm.py"
    path.write_text(longest.file())
    verify(path)
    started = time.process_time()
    assert verify(path)["passed"]
    assert time.process_time() - started < WARM_SECONDS
