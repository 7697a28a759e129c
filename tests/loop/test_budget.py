"""Budgets: never passed by more than what is under way, and nothing forgotten in a crash."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.archive.store import Archive, Document
from engine.errors import Exit, PoiseError
from engine.loop.book import Book
from engine.loop.budget import SLICE_SECONDS, Account, Stopwatch, charge_lost, gpu_seconds, used_up, write_down

amounts = st.integers(0, 50).map(lambda n: n / 4)  # sums of quarters are exact


class Spending(RuleBasedStateMachine):
    """Any order of steps and calls, with crashes in between: what is on disk are `records` and `reserved`."""

    LIMIT = 20.0

    def __init__(self) -> None:
        super().__init__()
        self.account = Account(self.LIMIT)
        self.records: dict[str, float] = {}
        self.reserved: dict[str, float] = {}
        self.really = 0.0
        self.made = 0

    @rule(amount=amounts, share=st.sampled_from([0.0, 0.25, 1.0]))
    def begin(self, amount: float, share: float) -> None:
        key = f"call {self.made}"
        fits = sum(self.records.values()) + sum(self.reserved.values()) + amount <= self.LIMIT
        assert self.account.fits(amount) == fits
        if not fits:
            with pytest.raises(PoiseError) as caught:
                self.account.reserve(key, amount)
            assert caught.value.code is Exit.REFUSED
            return
        self.account.reserve(key, amount)
        self.made += 1
        self.reserved[key] = amount
        self.really += amount * share  # what it costs, whether or not anybody ever hears of it

    @precondition(lambda self: self.reserved)
    @rule(data=st.data(), share=st.sampled_from([0.25, 1.0]))
    def settle(self, data: st.DataObject, share: float) -> None:
        key = data.draw(st.sampled_from(sorted(self.reserved)))
        self.records[key] = self.reserved[key]
        self.account.settle(key, self.reserved.pop(key))

    @precondition(lambda self: self.reserved)
    @rule(data=st.data())
    def crash_between_the_record_and_the_end_of_the_reservation(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.reserved)))
        self.records[key] = self.reserved[key]
        self.crash()

    @rule()
    def crash(self) -> None:
        self.account = Account(self.LIMIT, sum(self.records.values()))
        for key in self.account.charge_lost(self.reserved, self.records.keys()):
            self.records[key] = self.reserved[key]
        self.reserved = {}

    @invariant()
    def never_over_and_never_less_than_it_really_was(self) -> None:
        assert self.account.spent == sum(self.records.values())
        assert self.really <= self.account.spent + sum(self.account.reserved.values()) <= self.LIMIT


TestSpending = Spending.TestCase


@given(limit=amounts, calls=st.lists(st.tuples(amounts, amounts), max_size=20))
def test_a_call_dearer_than_its_reservation_counts_in_full_and_is_the_only_overshoot(
    limit: float, calls: list[tuple[float, float]]
) -> None:
    account = Account(limit)
    for i, (reserved, cost) in enumerate(calls):
        before = account.spent
        if account.fits(reserved):
            account.reserve(str(i), reserved)
            account.settle(str(i), cost)
        assert account.spent <= limit + max(0.0, cost - reserved) or account.spent == before


def test_what_did_not_happen_costs_nothing() -> None:
    account = Account(1.0)
    account.reserve("a", 1.0)
    account.release("a")
    account.reserve("b", 1.0)
    assert account.spent == 0 and account.fits(0.0) and not account.fits(0.1) and account.fits(1.0, alone=True)


def test_without_a_limit_everything_fits() -> None:
    Account(None, 1e9).reserve("a", 1e9)


def trial(name: str, train: float = 0.0, score: float = 0.0, gpu: float = 0.0, status: str = "training") -> Document:
    cost = {"train_seconds": train, "score_seconds": score, "gpu_seconds": gpu}
    return {"id": name, "candidate": "c000", "cost": cost, "status": status, "trained": score > 0, "purpose": "search"}


def test_running_time_counts_until_it_is_on_the_record_and_no_longer() -> None:
    watch, trials = Stopwatch(), {"a": trial("a"), "b": trial("b")}
    assert watch.observe(["a"], trials, 100.0) == {"a": 0.0}
    assert watch.observe(["a", "b"], trials, 105.0) == {"a": 5.0, "b": 0.0}
    trials["a"] = trial("a", train=6.0)  # its training is on record; now it scores
    assert watch.observe(["a", "b"], trials, 107.0) == {"a": 0.0, "b": 2.0}
    assert watch.observe(["a"], trials, 110.0) == {"a": 3.0}
    assert watch.observe(["b"], trials, 120.0) == {"b": 0.0}, "b left its worker in between"


@pytest.mark.parametrize(
    ("budget", "wall", "gpu", "says"),
    [
        ({"hours": 1.0, "gpu_hours": None}, 3599.9, 9e9, None),
        ({"hours": 1.0}, 3600.0, 0.0, "budget of 1 h used"),
        ({"hours": None, "gpu_hours": 0.5}, 9e9, 1799.9, None),
        ({"hours": None, "gpu_hours": 0.5}, 0.0, 1800.0, "budget of 0.5 GPU h used"),
        ({}, 9e9, 9e9, None),
    ],
)
def test_a_budget_of_hours_is_used_when_its_last_second_is(
    budget: dict[str, Any], wall: float, gpu: float, says: str | None
) -> None:
    assert used_up(budget, wall, gpu) == says


# Time in a real archive, closed and opened again as after a crash.


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.json"


@contextmanager
def engine(path: Path) -> Iterator[Book]:
    """The books of one engine's life; what it has not written down is gone afterwards."""
    archive = Archive.open(path)
    book = Book(archive)
    if book.trials:
        book.reopen_run()
    else:
        spent = {"wall_seconds": 0.0, "gpu_seconds": 0.0, "llm_usd": 0.0}
        book.open_run({"id": "r", "status": "running", "budget": {}, "spent": spent})
        book.create_trial(trial("a"), steps=1)
        book.create_trial(trial("b", train=30.0, gpu=30.0), steps=1)
    yield book
    archive.close()


def test_what_an_engine_had_set_aside_when_it_died_is_charged_once(path: Path) -> None:
    with engine(path) as book:
        write_down(book, 100.0, 0.5, {"a": 5.0, "b": 2.0}, gpus=1)
        book.update_trial("b", cost=trial("b", train=33.5, gpu=33.5)["cost"])  # b was settled
    with engine(path) as book:
        assert charge_lost(book) == 100.0 + SLICE_SECONDS
        assert book.trials["a"]["cost"]["train_seconds"] == book.trials["a"]["cost"]["gpu_seconds"] == 15.0
        assert book.trials["b"]["cost"]["train_seconds"] == 33.5
        assert book.run["spent"] == {"wall_seconds": 110.0, "gpu_seconds": 48.5, "llm_usd": 0.5}
    with engine(path) as book:
        assert charge_lost(book) == 110.0, "nothing is charged twice"
        assert gpu_seconds(book.trials.values()) == 48.5


def test_a_crash_while_charging_charges_nothing_twice(path: Path) -> None:
    with engine(path) as book:
        write_down(book, 100.0, 0.0, {"a": 5.0}, gpus=1)
    with engine(path) as book:
        book.update_trial("a", cost=trial("a", train=15.0, gpu=15.0)["cost"])  # charged, and died
    with engine(path) as book:
        assert charge_lost(book) == 110.0
        assert book.trials["a"]["cost"]["train_seconds"] == 15.0


def test_an_engine_that_ended_in_order_leaves_nothing_to_charge(path: Path) -> None:
    with engine(path) as book:
        write_down(book, 100.0, 0.0, {}, gpus=0)
        book.spend(wall_seconds=104.0)
    with engine(path) as book:
        assert charge_lost(book) == 104.0


def test_gpu_seconds_are_always_those_of_the_trials(path: Path) -> None:
    with engine(path) as book:
        for _ in range(2):
            book.spend(llm_usd=0.25)
            assert book.run["spent"] == {"wall_seconds": 0.0, "gpu_seconds": 30.0, "llm_usd": 0.25}
