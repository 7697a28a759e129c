"""The simulation that the defaults were chosen by decides as the engine does."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.protocol_simulation import ETA, RUNG_NOISE, at_looks, stream
from engine.stats.confirm import DEFAULT_LOOKS, Plan, judge
from engine.stats.looks import nominal_levels
from engine.stats.promotion import promotion

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "protocol_simulation.json"


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 1.0])
def test_its_promotions_are_those_of_the_engine(correlation: float) -> None:
    rng = np.random.default_rng(1)
    x, here = rng.normal(size=(4, 25)), rng.random((4, 25)) < 0.7
    here[:, 0] = True
    on = stream(x, here, correlation)
    for row in range(4):
        earlier: list[float] = []
        for i in np.flatnonzero(here[row]):
            score = float(x[row, i])
            said = promotion([score], earlier, noise_std=RUNG_NOISE, correlation=correlation, eta=ETA)
            assert on[row, i] == said.promoted
            earlier.append(score)
    assert not on[~here].any()


def test_its_confirmations_are_those_of_the_engine() -> None:
    rng, plan = np.random.default_rng(2), Plan(DEFAULT_LOOKS, 0.0133)
    a, b = rng.normal(2, 1, (30, 10)), rng.normal(0, 1, (30, 10))
    _, gain, seeds = at_looks(a, b, plan.looks, nominal_levels(plan.looks, plan.alpha))
    for row in range(30):
        for look, n in enumerate(plan.looks):
            said = judge(a[row, :n].tolist(), b[row, :n].tolist(), plan, look)
            if said.verdict != "continue":
                break
        assert (said.verdict == "confirmed", said.seeds) == (gain[row], seeds[row])


def test_what_the_protocol_promises_is_in_the_recorded_figures() -> None:
    tables = {
        t["title"]: {r["name"]: r["figures"] for r in t["rows"]} for t in json.loads(RESULTS.read_text())["tables"]
    }
    whole = tables["Whole searches: claims and confirmations"]
    null = whole["all 63 are the root"]
    assert null["the same with 5 more by hand"]["value"] < 0.05
    assert whole["the same, spread 2"]["the same with 5 more by hand"]["value"] < 0.05
    assert null["best search score minus root"]["value"] == pytest.approx(2.34, abs=0.05)
    for name, figures in tables["Error of the tests"].items():
        if name.startswith("alpha 0.05"):
            found = figures[f"looks {DEFAULT_LOOKS}"]
            assert found["value"] <= 0.05 + 2 * found["error"]
