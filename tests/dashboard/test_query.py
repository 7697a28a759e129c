"""Typed queries: what fits them, what is wrong with one, and that no text breaks them; which rows the tree shows."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import Exit, PoiseError
from poise_tui.arrange import ORDERS, arrange, dead_lineages
from poise_tui.query import NUMBERS, TEXTS, WORDS, parse
from poise_tui.snapshot import Snapshot
from poise_tui.store import Store, build_tree
from tests.dashboard import recorded


def snapshot() -> Snapshot:
    store = Store()
    store.fold(recorded.events())
    return store.snapshot()


FOUND = snapshot()


def fitting(text: str) -> set[str]:
    query = parse(text)
    return {c.id for c in FOUND.candidates.values() if query.fits(c)}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", {"c000", "c001", "c002", "c003", "c004", "c005"}),
        ("overall>=40", {"c000", "c001"}),
        ("overall>=40 -pinned gate", {"c001"}),
        ("status:running", {"c002"}),
        ("-pruned -failed status!=stopped", {"c000", "c001", "c002"}),
        ("mechanism:ga.e overall<60", {"c000", "c005"}),
        ("mechanism:gspo", set()),
        ("gain>0", {"c001"}),
        ("-gain>0 -overall<0", {"c000", "c002", "c003", "c004", "c005"}),
        ("^c00[45]", {"c004", "c005"}),
        ("cause:nan", {"c003"}),
        ('cause:"loss is nan"', {"c003"}),
        ("parent:c001", {"c002", "c004"}),
        ("confirmed", {"c001"}),
        ("worse", {"c005"}),
        ("name!=GRPO id:c003", {"c003"}),
        ("step>0", {"c000", "c001", "c002"}),
    ],
)
def test_a_query_finds_what_it_says(text: str, wanted: set[str]) -> None:
    assert fitting(text) == wanted


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("overall>=forty", "overall>=forty: forty is no number"),
        ("speed>3", "speed>3: there is no field speed; there are overall, gain"),
        ("status:busy", "status:busy: a status is one of queued, verifying"),
        ("name:(", "name:(: no regular expression"),
        ("[", "[: no regular expression"),
        ("overall>=", "overall>=: nothing stands after >="),
        ("name>x", "name>x: text is compared with : or !=, not by size"),
        ("status>training", "a status is one of"),
        ('"open', "a quote is not closed"),
    ],
)
def test_a_wrong_query_says_what_is_wrong_with_which_term(text: str, why: str) -> None:
    with pytest.raises(PoiseError, match=re.escape(why)) as raised:
        parse(text)
    assert raised.value.code == Exit.USAGE


TERMS = st.one_of(
    st.sampled_from([*WORDS, "gate", "c00", "."]),
    st.builds("{}{}{}".format, st.sampled_from([*NUMBERS]), st.sampled_from([">=", "<", "!="]), st.integers(-9, 99)),
    st.builds("{}:{}".format, st.sampled_from([*TEXTS]), st.sampled_from(["a", "grpo", "c0"])),
)


@given(terms=st.lists(TERMS, max_size=4))
def test_all_terms_must_hold_and_minus_turns_one_round(terms: list[str]) -> None:
    everything = set(FOUND.candidates)
    assert fitting(" ".join(terms)) == everything.intersection(*map(fitting, terms))
    for term in terms:
        assert fitting(f"-{term}") == everything - fitting(term)


@settings(max_examples=300)
@given(text=st.text(max_size=30) | st.text(alphabet="overall<>=!:-\"' ()[]*+?\\status", max_size=20))
def test_no_text_is_worse_than_a_query_or_one_clear_line(text: str) -> None:
    try:
        query = parse(text)
    except PoiseError as error:
        said = str(error)
    else:
        said = ""
        assert all(query.fits(c) in (True, False) for c in FOUND.candidates.values())
    assert said.isprintable()


# -- the rows of the tree ------------------------------------------------------------------------------------


@st.composite
def trees(draw: st.DrawFn) -> Snapshot:
    """Any lineage of up to 30 nodes, with statuses and scores."""
    count = draw(st.integers(1, 30))
    store = Store()
    for i in range(count):
        parent = f"c{draw(st.integers(0, i - 1)):03d}" if i else None
        status = draw(st.sampled_from(["scored", "failed", "pruned", "training", "stopped"]))
        overall = draw(st.none() | st.integers(0, 100))
        document = recorded.candidate(f"c{i:03d}", f"N{i}", parent, status, overall=overall)
        store.fold([recorded.Event("candidate.created", document["id"], document, i + 1, recorded.START)])
    return store.snapshot()


@given(found=trees(), order=st.sampled_from([*ORDERS]))
def test_sorting_keeps_every_node_below_its_parent_with_right_guides(found: Snapshot, order: str) -> None:
    rows = arrange(found, order=order)
    assert sorted(row.id for row in rows) == sorted(found.candidates)
    key = ORDERS[order]
    for place, row in enumerate(rows):
        siblings = [r for r in rows if found.candidates[r.id].parent == found.candidates[row.id].parent]
        assert not row.more or row.more[-1] == (siblings[-1].id != row.id)
        if key is not None and (at := siblings.index(row)):
            assert key(found.candidates[siblings[at - 1].id]) <= key(found.candidates[row.id])
        if row.more:
            above = next(r for r in reversed(rows[:place]) if len(r.more) == len(row.more) - 1)
            assert above.id == found.candidates[row.id].parent and row.more[:-1] == above.more


@given(found=trees())
def test_by_age_without_a_query_it_is_the_tree_itself(found: Snapshot) -> None:
    assert arrange(found) == build_tree(found.candidates)


@given(found=trees(), text=st.sampled_from(["scored", "overall>50", "failed", "-failed", "N1"]))
def test_a_filter_keeps_what_fits_and_what_leads_there_and_nothing_else(found: Snapshot, text: str) -> None:
    query = parse(text)
    wanted: set[str] = set()
    for candidate in found.candidates.values():
        node = candidate.id if query.fits(candidate) else None
        while node is not None and node not in wanted:
            wanted.add(node)
            node = found.candidates[node].parent
    rows = arrange(found, query=query)
    assert {row.id for row in rows} == wanted
    kept = {node: found.candidates[node] for node in found.candidates if node in wanted}
    assert rows == build_tree(kept)


@given(found=trees())
def test_a_dead_lineage_is_folded_and_no_living_node_is_hidden(found: Snapshot) -> None:
    folded = dead_lineages(found)
    shown = {row.id for row in arrange(found, folded=folded)}
    alive = {c.id for c in found.candidates.values() if c.status in ("scored", "training")}
    assert alive <= shown
    for node in set(found.candidates) - shown:
        assert found.candidates[node].parent in folded | (set(found.candidates) - shown)
