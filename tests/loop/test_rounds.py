"""Rounds and what may see what: the control arm comes in its share and stays apart, twins and slots are as ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.loop.book import control_id, decided, injected_id, is_control, is_injected, purpose_of, slot_of
from engine.loop.decisions import controls_due
from engine.search.select import round_of


@given(st.integers(0, 200), st.integers(1, 200), st.data())
def test_the_control_arm_comes_evenly_and_whole(controls: int, last: int, data: st.DataObject) -> None:
    slot = data.draw(st.integers(1, last))
    due = controls_due(controls, slot, last)
    assert 0 <= due <= controls
    assert controls_due(controls, last, last) == controls
    assert abs(due - controls * slot / last) < 1
    if slot < last:
        assert due <= controls_due(controls, slot + 1, last)


@given(st.integers(1, 10_000), st.integers(1, 10))
def test_every_decision_has_one_round_and_sees_what_its_first_sees(k: int, parents: int) -> None:
    number, first = round_of(k, parents)
    assert first <= k < first + parents
    assert round_of(first, parents) == (number, first)


def test_only_decisions_have_slots_and_each_arm_its_own_ids() -> None:
    ids = ["c000", "r001", "c002", "u001", "c001", control_id(12), injected_id(3), "c1000"]
    assert decided(ids) == ["c000", "c001", "c002", "c1000"]
    assert [i for i in ids if is_control(i)] == ["r001", "r012"]
    assert [i for i in ids if is_injected(i)] == ["u001", "u003"]
    assert slot_of("c1000") == 1000
    assert (purpose_of("r001"), purpose_of("u001"), purpose_of("c001")) == ("control", "search", "search")
