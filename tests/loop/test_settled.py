"""The same seed gives the same lineage, whatever the order in which results arrive."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from engine.loop.seeds import decision_seed, run_key, score_seed, train_seed
from engine.loop.settled import ready, visible


def simulate(lag: int, candidates: int, workers: int, durations: list[int]) -> list[tuple[int, ...]]:
    """Run decisions and trainings in virtual time.

    Returns:
        for each decision, the slots it saw.
    """
    clock, k, running, queue = 0, 1, {0: durations[0]}, []
    settled: set[int] = set()
    seen: list[tuple[int, ...]] = []
    while k <= candidates or running or queue:
        while k <= candidates and ready(k, lag, settled.__contains__):
            seen.append(tuple(visible(k, lag)))
            queue.append(k)
            k += 1
        while queue and len(running) < workers:
            slot = queue.pop(0)
            running[slot] = clock + durations[slot]
        clock = min(running.values())
        done = [s for s, at in running.items() if at == clock]
        settled.update(done)
        for s in done:
            del running[s]
    return seen


@given(
    lag=st.integers(1, 6),
    candidates=st.integers(1, 20),
    timings=st.lists(st.lists(st.integers(1, 50), min_size=21, max_size=21), min_size=2, max_size=3),
    workers=st.lists(st.integers(1, 8), min_size=2, max_size=3),
)
def test_decisions_see_the_same_under_any_timing_and_any_number_of_workers(
    lag: int, candidates: int, timings: list[list[int]], workers: list[int]
) -> None:
    runs = {tuple(simulate(lag, candidates, w, t)) for w, t in zip(workers, timings, strict=False)}
    assert len(runs) == 1
    (seen,) = runs
    assert all(slots == tuple(range(max(0, k - lag + 1))) for k, slots in enumerate(seen, start=1))


def test_an_early_result_waits_for_those_before_it() -> None:
    assert not ready(5, 3, {0, 2, 3}.__contains__)
    assert ready(5, 3, {0, 1, 2}.__contains__)
    assert list(visible(5, 3)) == [0, 1, 2]


def test_seeds_differ_by_use_and_run_and_are_stable() -> None:
    seeds = [
        train_seed(1, "search", 0),
        train_seed(1, "baseline", 1),
        train_seed(2, "search", 0),
        score_seed(1, "development", 1.0),
        score_seed(1, "confirmation", 1.0),
        decision_seed(1, 3),
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= s < 2**31 for s in seeds)
    assert train_seed(1, "search", 0) == train_seed(1, "search", 0)


def test_a_guess_of_the_runs_seed_costs_processor_time_and_a_seed_in_use_costs_it_once() -> None:
    run_key.cache_clear()
    start = time.process_time()
    train_seed(987, "search", 0)
    guess = time.process_time() - start
    start = time.process_time()
    for i in range(100):
        score_seed(987, "development", float(i))
    again = time.process_time() - start
    assert guess > 0.02, "so that 600 s of a core are no more than 30,000 guesses"
    assert again < guess
