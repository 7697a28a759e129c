"""Simulated discoveries decide as real ones do and use no training twice; their figures of error and power hold."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks import null, null_real, planted
from benchmarks.dealing import END, FRESH, Array, Deck, Population
from benchmarks.discoveries import TINY, Discovery, Protocol, confirm, discover, scheduled, search
from benchmarks.hidden import Early, early, known, known_gains
from benchmarks.hidden import planted as gained
from benchmarks.landscape.design import SEEDS, SUBSETS
from benchmarks.landscape.views import STOPS, Landscape
from engine.errors import Exit, PoiseError
from engine.loop.finalists import conclude, finalists
from engine.loop.promotions import promote_all
from engine.loop.studies import _best
from engine.loop.workers import _arrive
from engine.search.answers import read_answer, read_model
from engine.search.consistency import ConsistencyAnswer, ScreeningAnswer
from engine.stats.confirm import Plan, judge
from engine.stats.ledger import allot
from tests.loop import test_promotions
from tests.run.world import profile

PART = np.array([0.0, 0.05, 0.2, 0.3, 0.7, 1.0])
"""Of a gain, at the landscape's stops."""


def made_up(roots: int = 256, std: float = 2.0) -> Landscape:
    """Main effects of eight switches, a part of them early, and noise of which a training carries some along."""
    rng = np.random.default_rng(0)
    switches = rng.normal(0, 3, SUBSETS.bit_length() - 1)
    true = np.array([sum(e for i, e in enumerate(switches) if s >> i & 1) for s in range(SUBSETS)])

    def noise(*shape: int) -> Array:
        late = np.array([0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.0])
        return std * late * (0.6 * rng.normal(size=(*shape, len(late))) + 0.8 * rng.normal(size=(*shape, 1)))

    of, own = noise(SUBSETS, SEEDS), noise(roots)
    scored = 50 + PART * true[:, None, None] + of[..., :-1]
    nothing = np.full(scored.shape, np.nan)
    return Landscape(
        end=scored[..., -1],
        confirmed=50 + true[:, None] + of[..., -1],
        early=scored,
        tasks=nothing,
        root=50 + own[:, :-1],
        root_confirmed=50 + own[:, -1],
        train_seconds=nothing,
        score_seconds=nothing,
    )


@pytest.fixture(scope="module")
def table() -> Landscape:
    return made_up()


@pytest.fixture(scope="module")
def trainings(table: Landscape) -> Array:
    return TINY.root(table)


class Scored(test_promotions.Made):
    """The engine of a run whose scores are told beforehand."""

    first: Array
    again: Array
    root: Array

    def arrive(self, trial: str) -> None:
        node, _, index = trial.split("-")
        rung = self.engine.runner.rungs.index(self.engine.runner.rung(trial))
        own = [*self.root] if node == "c000" else [self.first[int(node[1:]) - 1], self.again[int(node[1:]) - 1]]
        overall = float(own[int(index)][rung])
        self.engine.queue.remove(trial)
        benchmarks = {"add": {"metric": "avg@16", "value": overall, "n": 120, "ci": [0.0, 100.0]}}
        data = {"overall": overall, "benchmarks": benchmarks, "standard_error": 0.5}
        _arrive(self.engine, trial, data)

    async def to_the_end(self) -> None:
        await self.until_all_settled(random.Random(0))
        self.engine.spawn(promote_all(self.engine))
        self.engine.spawn(conclude(self.engine))
        while not self.engine.concluded:
            for trial in list(self.engine.queue):
                self.arrive(trial)
            await self.engine.notify()
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(2))
def test_a_simulated_search_decides_as_the_engine_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    changes = {"search.rungs.seeds": "[1, 1, 1]", "confirm.candidates": "3"}
    monkeypatch.setattr(test_promotions, "profile", lambda path, **more: profile(path, **(more | changes)))
    rng, n = np.random.default_rng(seed), 24
    run = Scored(tmp_path, "r", n)
    standing = rng.normal(0, 2, n)[:, None] * [0.3, 0.6, 1.0]
    run.first = 50 + standing + rng.normal(size=(n, 3))
    run.again, run.root = 50 + standing + rng.normal(size=(n, 3)), 50 + rng.normal(size=(3, 3))
    asyncio.run(run.to_the_end())
    rungs = [len(run.book.candidates[f"c{k + 1:03d}"]["rungs"]) for k in range(n)]
    protocol = Protocol(run.engine.config.profile)
    found = search(protocol, run.first, run.root, lambda k: float(run.again[k, -1]))
    assert set(rungs) == {1, 2, 3}, "some stop at each rung"
    assert sorted(found.ended) == [k for k, reached in enumerate(rungs) if reached == 3]
    assert found.reached == tuple(sum(r >= at for r in rungs) for at in (1, 2, 3))
    assert {f"c{k + 1:03d}": pytest.approx(own) for k, own in found.finalists.items()} == finalists(run.engine)
    simulated = Discovery(run.root[:, -1].tolist(), found, [], protocol, Deck(rng, run.first), Population(run.first))
    assert [f"c{k + 1:03d}" for k in simulated.best()] == _best(run.engine)[:3]
    run.archive.close()


def test_the_share_counts_every_update_of_candidates_once() -> None:
    n, protocol = 16, scheduled(12)
    noise = np.random.default_rng(0).normal(size=(n + 8, 2))
    found = search(protocol, noise[:n], noise[n:], lambda _: 0.0)
    on, further = len(found.ended), sum(len(own) - 1 for own in found.finalists.values())
    assert found.share == pytest.approx((n * 12 + on * 36 + further * 48) / (n * 48))
    assert search(scheduled(), noise[:n, 1:], noise[n:, 1:], lambda _: 0.0).reached == (n,), "without rungs all end"


def test_a_confirmation_says_what_the_engines_judge_says_at_every_look() -> None:
    rng = np.random.default_rng(3)
    confirmed = 0
    for _ in range(20):
        root, own = rng.normal(size=10), {k: rng.normal(2 * k, 1, 10) for k in range(3)}
        told = confirm(TINY, [0, 1, 2], lambda k, n, own=own: own[k][:n], root)  # type: ignore[misc]
        for k in range(3):
            plan = Plan((5, 7, 10), allot([], 3, automatic=True))
            looks = [judge(own[k][:n].tolist(), root[:n].tolist(), plan, i) for i, n in enumerate(plan.looks)]
            last = next(look for look in looks if look.verdict != "continue")
            assert told.confirmed[k] == (last.verdict == "confirmed")
        confirmed += int(told.confirmed.sum())
    assert 0 < confirmed < 60


def test_each_confirmation_by_hand_gets_half_of_the_error_that_is_left() -> None:
    arm = np.arange(10.0)
    batch = confirm(TINY, [0, 1, 2], lambda _, n: arm[:n] + 1, arm)
    first = confirm(TINY, [0], lambda _, n: arm[:n], arm, [batch], automatic=False)
    second = confirm(TINY, [0], lambda _, n: arm[:n], arm, [batch, first], automatic=False)
    assert [s.alphas[0] for s in (batch, first, second)] == pytest.approx([0.04 / 3, 0.005, 0.0025])
    assert confirm(TINY, [], lambda _, n: arm, arm).trainings == 0


def test_no_training_is_dealt_twice_and_a_pool_that_is_used_up_says_so(trainings: Array) -> None:
    every = Deck(np.random.default_rng(0), trainings)
    dealt = np.concatenate([every.deal(n) for n in (8, 64, 184)])
    assert sorted(map(tuple, dealt)) == sorted(map(tuple, trainings))
    deck = Deck(np.random.default_rng(0), trainings)
    found = discover(TINY, deck, Population(np.zeros((64, trainings.shape[1]))))
    study = found.confirm([1, 2, 3])
    used = 64 + 8 + sum(len(own) - 1 for own in found.search.finalists.values()) + 40
    assert len(deck._left) == len(trainings) - used and len(study.nodes) == 3
    with pytest.raises(PoiseError, match="more than 256 trainings") as refused:
        deck.deal(200)
    assert refused.value.code is Exit.REFUSED


def test_arms_dealt_from_one_pool_differ_as_much_as_independent_ones() -> None:
    rng = np.random.default_rng(1)
    pool = rng.normal(size=(50, 1))
    arms = (Deck(rng, pool).deal(20)[:, 0] for _ in range(6000))
    differences = [arm[:10].mean() - arm[10:].mean() for arm in arms]
    assert np.var(differences) == pytest.approx(pool.var(ddof=1) * 2 / 10, rel=0.08)


def test_candidates_of_another_spread_keep_the_roots_mean(trainings: Array) -> None:
    middle = trainings.mean(0)
    population = Population(np.zeros_like(trainings), 2.0, middle)
    wide = population.trained(slice(None), trainings, trainings[:1])
    assert wide.mean(0) == pytest.approx(middle) and wide.std(0) == pytest.approx(2 * trainings.std(0))


def test_candidates_correlate_by_seed_as_told_and_are_as_noisy_as_the_root() -> None:
    own, root = np.random.default_rng(4).normal(5, 3, (2, 20_000, 2))
    like = Population(np.zeros_like(own), middle=np.array([5.0, 5.0]), same_seed=0.6).trained(slice(None), own, root)
    assert np.corrcoef(like[:, 0], root[:, 0])[0, 1] == pytest.approx(0.6, abs=0.02)
    assert like.std() == pytest.approx(3, rel=0.02) and like.mean() == pytest.approx(5, abs=0.05)


def test_a_smoothed_pool_has_the_mean_and_covariance_of_the_pool(trainings: Array) -> None:
    rng = np.random.default_rng(2)
    many = np.concatenate([null.smoothed(rng, trainings) for _ in range(40)])
    assert many.mean(0) == pytest.approx(trainings.mean(0), abs=0.05)
    assert np.cov(many.T) == pytest.approx(np.cov(trainings.T), rel=0.1)
    assert not {tuple(row) for row in many} & {tuple(row) for row in trainings}


def test_a_share_has_the_bound_of_clopper_and_pearson() -> None:
    told = null.figure(31, 2000)
    exact = stats.binomtest(31, 2000).proportion_ci(confidence_level=0.9, method="exact")
    assert told["at_most"] == pytest.approx(exact.high) and told["share"] == 31 / 2000
    assert null.figure(0, 100)["at_most"] == pytest.approx(1 - 0.05**0.01) and null.figure(5, 5)["at_most"] == 1.0


def test_copies_of_the_root_are_rarely_confirmed_and_nearly_always_score_best(trainings: Array) -> None:
    found = null.rates(*null.scenarios(trainings)["recorded noise"], 12, seed=0)
    assert found[null.RULES[0]]["share"] > 0.8 and found[null.RULES[3]]["share"] == 1.0
    assert found[null.CONFIRMED]["share"] < 0.2
    pools = null.between_pools(trainings, draws=6, confirmations=2000, seed=0)
    assert 0.008 < pools["share"] < 0.022, "0.04 is allotted to the batch, half of it for gains"


def test_batches_at_once_are_judged_as_one_by_one() -> None:
    arms = np.random.default_rng(5).normal(size=(300, 4, 10)) * [[[1], [1], [0.3], [2]]] + [[[0], [1.5], [0], [0]]]
    one_by_one = [confirm(TINY, [1, 2, 3], lambda k, n, a=a: a[k, :n], a[0]).confirmed.any() for a in arms]  # type: ignore[misc]
    assert null.any_of(arms).tolist() == one_by_one and 0 < sum(one_by_one) < 300


def test_what_a_gain_is_at_a_rung_is_read_from_the_landscape_without_its_noise(table: Landscape) -> None:
    stops = scheduled(*STOPS[:-1])
    model = early(stops, table)
    assert model.slope == pytest.approx([*PART, 1.0], abs=0.04)
    assert np.abs(model.own_way).max() < 0.12, "its standings are on a line, only noise is beside it"
    gains = np.array([model.gains(np.random.default_rng(i), 6.0) for i in range(50)])
    assert (gains[:, END:] == 6.0).all(), "in full at the end and in the confirmation"


def test_a_way_of_its_own_at_a_rung_is_told_from_noise(table: Landscape) -> None:
    own = np.random.default_rng(9).normal(0, 3, SUBSETS)
    scored = table.early.copy()
    scored[:, :, 3] += own[:, None]  # after 12 updates: lasting for both seeds, and gone at the end
    changed = Landscape(**{**vars(table), "early": scored})
    model = early(scheduled(4, 12), changed)
    std = np.sqrt(model.own_way @ model.own_way.T)[1, 1]
    assert std == pytest.approx(3 / known_gains(table).std(), rel=0.2)


def test_a_large_gain_that_shows_early_is_found_and_none_is_not(trainings: Array) -> None:
    n = len(TINY.updates) + 1
    at_once = Early(np.ones(n), np.zeros((n, n)))
    found = planted.powers(TINY, trainings, gained(at_once, 20.0, 1), 5, seed=0)
    assert found["ours"]["confirmed"]["mean"] == found["everybody"]["confirmed"]["mean"] == 1.0
    assert found["ours"]["trained"]["mean"] < 0.5 and found["everybody"]["trained"]["mean"] == 1.0
    late = planted.powers(TINY, trainings, gained(Early(np.zeros(n), np.zeros((n, n))), 20.0, 1), 5, seed=0)
    assert late["ours"]["confirmed"]["mean"] < 1.0, "what shows nowhere cannot be found"


def with_finalists(protocol: Protocol) -> Protocol:
    """Four that get a second seed."""
    rungs = {**protocol.search["rungs"], "finalists": 4, "finalist_seeds": 2}
    return Protocol({**protocol.profile, "search": {**protocol.search, "rungs": rungs}})


def test_a_known_algorithm_is_searched_with_its_own_trainings(table: Landscape) -> None:
    gains = known_gains(table)
    best = int(gains.argmax())
    late = with_finalists(scheduled(24))
    population, (node,) = known(late, table, gains, [best])(np.random.default_rng(0))
    found = discover(late, Deck(np.random.default_rng(0), late.root(table)), population)
    own = set(table.end[best].tolist())
    assert found.everybody[node] in own and set(found.search.finalists[node]) == own
    assert population.gains[node, FRESH] == gains[best] == population.gains[node, END]


def test_the_same_command_gives_the_same_figures(table: Landscape, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, few in {"SCHEDULES": ((24,),), "GAINS": (2.0,), "COUNTS": (3,), "SCHEDULED": (3.0,)}.items():
        monkeypatch.setattr(planted, name, few)
    monkeypatch.setattr(planted, "BANDS", ((2.5, 3.5),))
    one, two = ({**planted.run(table, 1), "cpu_seconds": 0} for _ in range(2))
    assert json.dumps(one) == json.dumps(two)
    text = planted.markdown(one)
    assert {row["kind"] for row in one["rows"]} == {"planted", "known", "schedules"} and "| 3 of +2 |" in text
    assert planted.picture(one).count("<svg") == 1


@pytest.mark.parametrize("command", [null, planted])
def test_an_incomplete_landscape_is_refused_in_one_line(
    command: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "landscape", lambda: made_up(roots=30))
    monkeypatch.setattr("sys.argv", ["command", "--out", str(tmp_path / "out.json")])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert "30 of 256 trainings of the root are there, 200 are needed" in str(ended.value.code)
    assert not list(tmp_path.iterdir())


def test_rungs_at_which_nothing_was_scored_are_refused(table: Landscape) -> None:
    with pytest.raises(PoiseError, match="no scores after 6 updates"):
        scheduled(6, 12).root(table)


# -- discoveries that are really run


def asked(first: str, last: str) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": first}, {"role": "user", "content": last}]}


def test_the_model_of_real_nulls_proposes_ever_new_files_that_can_be_read() -> None:
    answer = null_real.answers()
    one, two = (read_answer(answer(asked("You propose", "Propose."))) for _ in range(2))
    assert one.name != two.name and one.key != two.key and one.mechanisms != two.mechanisms
    assert read_model(answer(asked("You review", '{"readings": []}')), ScreeningAnswer).readings == []
    assert read_model(answer(asked("You check", '"mismatches"')), ConsistencyAnswer).consistent


def test_a_real_null_is_read_from_what_the_run_exports() -> None:
    def trial(node: str, purpose: str, index: int, overall: float) -> Mapping[str, Any]:
        return {
            "id": f"{node}-{purpose}-{index}",
            "candidate": node,
            "purpose": purpose,
            "overall": overall,
            "seed": index,
        }

    verdict = {"verdict": "not confirmed", "gain": -0.5, "p": 0.4, "seeds": 10}
    c = {"parent": "c000", "status": "scored", "fidelity": 1.0, "overall": 55.0, "confirmed": verdict}
    export = {
        "run": {"spent": {"wall_seconds": 1.0}},
        "candidates": [{**c, "id": "c000", "parent": None}, {**c, "id": "c001"}, {**c, "id": "c002", "fidelity": 0.25}],
        "trials": [
            *(trial("c000", "baseline", i, 50.0 + i) for i in (1, 2, 3)),
            trial("c000", "search", 0, 50.0),
            trial("c001", "search", 0, 58.0),
            trial("c001", "search", 1, 52.0),
            *(trial("c000", "confirm", 100 + i, 50.0 + i) for i in range(3)),
            *(trial("c001", "confirm", 100 + i, 40.0 + 2 * i) for i in range(3)),
            trial("c002", "search", 0, 30.0),
        ],
    }
    found = null_real.read(export, 7)
    assert found["ends"] == [58.0] and found["root_mean"] == 51.5 and found["candidates"] == 2
    assert found["best_interval_above_0"] and not found["confirmed"]
    assert found["correlations_by_seed_with_the_root"] == [1.0]
    assert "| 7 | 2 | 1 | +5.0 | yes | -0.5 (0.4), -0.5 (0.4) | no |" in null_real.markdown([found])
