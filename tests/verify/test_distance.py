"""How far apart two algorithms are, and whether they are twins, is read from their archived signatures alone."""

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine.contract import Algorithm, Inner, Mechanism, Minibatch
from engine.verify.distance import TOLERANCE, Twin, distance, twin
from engine.verify.fingerprint import signature
from engine.verify.regimes import regimes
from tests.verify.library import algorithm, mechanism

NAMES = ("one", "two", "pairs")
numbers = st.sampled_from([-1.0, 0.0, 0.5]) | st.floats(-1e3, 1e3).filter(lambda x: abs(x) > 1e-3)
vectors = st.tuples(numbers, numbers).map(list) | st.just([0.0, 0.0])
entries = st.tuples(vectors, vectors)
signatures = st.tuples(entries, entries, entries).map(
    lambda found: {
        name: {"group_size": 2 if name == "pairs" else 8, "policy": policy, "rest": rest}
        for name, (policy, rest) in zip(NAMES, found, strict=True)
    }
)
factors = st.floats(1e-3, 1e3)


class Scaled(Mechanism):
    """The whole loss, KL penalty and entropy bonus included, times a factor."""

    factor: float = 10.0

    def aggregate(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        return self.factor * inner(per_token)

    def regularize(self, m: Minibatch, loss: Tensor, inner: Inner) -> Tensor:
        return self.factor * inner(loss)


def of(*mechanisms: Mechanism | str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(signature(algorithm(*mechanisms), regimes())))
    return made


def times(signature: dict[str, Any], policy: float, rest: float) -> dict[str, Any]:
    return {
        name: entry | {"policy": [policy * x for x in entry["policy"]], "rest": [rest * x for x in entry["rest"]]}
        for name, entry in signature.items()
    }


@given(signatures, signatures)
def test_it_is_symmetric_and_between_0_and_1(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert 0.0 <= distance(a, b) <= 1.0
    assert distance(a, b) == pytest.approx(distance(b, a), abs=1e-9)


@given(signatures, factors)
def test_a_common_factor_is_no_distance(a: dict[str, Any], factor: float) -> None:
    assert distance(a, a) == 0.0
    assert distance(times(a, factor, factor), a) == 0.0


@given(signatures, signatures, factors, factors)
def test_it_does_not_depend_on_the_scale_of_either(a: dict[str, Any], b: dict[str, Any], f: float, g: float) -> None:
    assert distance(times(a, f, f), times(b, g, g)) == pytest.approx(distance(a, b), abs=1e-6)


@given(signatures, st.sampled_from(NAMES), st.sampled_from(["policy", "rest"]))
def test_a_reversed_gradient_is_some_distance(a: dict[str, Any], name: str, part: str) -> None:
    other = a | {name: a[name] | {part: [-x for x in a[name][part]]}}
    assert (distance(a, other) > 0) == any(a[name][part])


@given(signatures, signatures)
def test_twins_are_twins_of_each_other(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert twin(a, a) == Twin("equal", 1.0, False)
    assert (twin(a, b) is None) == (twin(b, a) is None)


@given(signatures, factors.filter(lambda f: abs(f - 1) > 0.01))
def test_a_factor_on_everything_is_a_scale_twin(a: dict[str, Any], factor: float) -> None:
    found, back = twin(times(a, factor, factor), a), twin(a, times(a, factor, factor))
    silent = not any(any(entry["policy"]) or any(entry["rest"]) for entry in a.values())
    assert found is not None and back is not None
    assert found.kind == back.kind == ("equal" if silent else "scale")
    if any(any(a[name]["policy"]) for name in NAMES[:2]):  # else nothing moves at the commonest size
        assert found.factor == pytest.approx(factor)
        assert back.factor == pytest.approx(1 / factor)
    assert not found.only_policy


def assert_scale(found: Twin | None, factor: float, only_policy: bool) -> None:
    assert found is not None
    assert (found.kind, found.only_policy) == ("scale", only_policy)
    assert found.factor == pytest.approx(factor, rel=TOLERANCE)


def test_rloo_is_the_scale_twin_of_dr_grpo() -> None:
    rloo, dr = of("LeaveOneOut", "NoStd"), of("NoStd")
    assert_scale(twin(rloo, dr), 8 / 7, only_policy=True)
    assert_scale(twin(dr, rloo), 7 / 8, only_policy=True)
    assert distance(rloo, dr) < 0.05


def test_in_pairs_rloo_is_twice_dr_grpo() -> None:
    pairs = "pairs (G = 2)"
    rloo, dr = ({pairs: of(*m)[pairs]} for m in (("LeaveOneOut", "NoStd"), ("NoStd",)))
    assert_scale(twin(rloo, dr), 2.0, only_policy=True)


def test_what_scales_kl_and_entropy_along_is_a_full_scale_twin_at_no_distance() -> None:
    assert_scale(twin(of(Scaled()), of()), 10.0, only_policy=False)
    assert distance(of(Scaled()), of()) == 0.0
    assert_scale(twin(of("NoStd", Scaled()), of(Scaled(factor=2.0), "NoStd")), 5.0, only_policy=False)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ClipHigher",), ()),
        (("KlScale",), ()),
        (("EntropyBonusScale",), ()),
        (("NoStd",), ()),
        (("MeanScale",), ("NoStd",)),
        (("TokenMean",), ("LocalTokenMean",)),
        (("NegativeWeight",), (mechanism("NegativeWeight", factor=0.25),)),
        ((mechanism("AdaptiveEntropy", target=0.2),), (mechanism("AdaptiveEntropy", target=0.5),)),
    ],
    ids=str,
)
def test_what_differs_in_kind_is_no_twin_and_at_a_distance(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assert twin(of(*one), of(*other)) is None
    assert distance(of(*one), of(*other)) > 0.0


def test_equal_behaviour_is_an_equal_twin_at_no_distance() -> None:
    a, b = of("NoStd", "TokenMean"), of("TokenMean", "NoStd")
    assert twin(a, b) == Twin("equal", 1.0, False)
    assert distance(a, b) == 0.0


def test_a_small_change_is_nearer_than_a_large_one() -> None:
    grpo = of()
    small, large = of("ClipHigher"), of("ClipHigher", "MeanScale", "TokenMean")
    assert 0.0 < distance(small, grpo) < distance(large, grpo) < 1.0
    steps = [distance(of(mechanism("NegativeWeight", factor=f)), grpo) for f in (0.9, 0.5, 0.1)]
    assert steps == sorted(steps)


def test_opposite_gradients_are_far_apart() -> None:
    class Opposite(Mechanism):
        def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
            return -inner(ratio)

    assert distance(of(Opposite()), of()) > 0.7
    assert twin(of(Opposite()), of()) is None


def test_signatures_without_a_common_regime_are_one_apart() -> None:
    a = {"here": {"group_size": 8, "policy": [1.0], "rest": [0.0]}}
    assert distance(a, {"there": a["here"]}) == 1.0
    assert twin(a, {"there": a["here"]}) is None


def test_comparing_needs_no_torch() -> None:
    code = "import sys, engine.verify.distance; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_grpo_is_at_no_distance_from_itself() -> None:
    assert distance(of(), json.loads(json.dumps(signature(Algorithm("other name"), regimes())))) == 0.0
