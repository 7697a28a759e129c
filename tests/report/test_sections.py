"""What a report claims is what the documents say, and it claims no more."""

import re

import pytest

from engine.archive.store import read_archive
from engine.report.answer import answer
from engine.report.blocks import Figure, Heading, Report, Table, Text
from engine.report.costs import cost_of
from engine.report.frontier import busy
from engine.report.repeat import command
from engine.report.story import Story, mean_at
from engine.report.words import interval, seconds
from engine.stats.noise import expected_best
from tests.report.conftest import rows, said, section
from tests.report.made_up import DUPLICATE, FAILED, LOSER, REFUSED, WINNER


def boards(report: Report) -> dict[str, list[list[str]]]:
    """Each leaderboard's rows, by its heading."""
    found, heading = {}, ""
    for block in section(report, "leaderboard").blocks:
        if isinstance(block, Heading):
            heading = block.text
        if isinstance(block, Table):
            found[heading] = rows(block)
    return found


def test_the_answer_comes_first_with_interval_and_power(story: Story) -> None:
    first, confirmed = answer(story)[0], story.by_id[WINNER]["confirmed"]
    assert isinstance(first, Text)
    assert first.text.startswith(
        f"Confirmed: Variant-5 (c005) beats plain GRPO by {interval(confirmed, 'gain')} points"
    )
    assert f"80% at {confirmed['power']['detectable']:+.1f}" in str(answer(story)[1])


def test_without_a_confirmation_the_answer_is_that_nothing_is_confirmed_whatever_the_scores(story: Story) -> None:
    bare = [c | {"confirmed": None} for c in story.candidates]
    never = Story(story.folder, story.run | {"studies": []}, bare, story.trials, story.config, True)
    first, then = answer(never)
    assert "Nothing is confirmed" in str(first)
    assert "by chance alone" in str(then)
    assert "overstates the gain" in str(then)
    refused = [
        c | {"confirmed": (c["confirmed"] or {}) | {"verdict": "needs 6 more seeds"}} if c["id"] == WINNER else c
        for c in bare
    ]
    first, then = answer(Story(story.folder, story.run, refused, story.trials, story.config, True))
    assert "Nothing is confirmed" in str(first)
    assert WINNER in str(then)


def test_a_confirmation_that_is_going_on_is_named_and_claims_nothing(story: Story) -> None:
    waiting = [c | {"confirmed": None} for c in story.candidates]
    run = story.run | {"status": "running", "studies": [story.studies[0] | {"status": "running"}]}
    said = answer(Story(story.folder, run, waiting, story.trials, story.config, True))
    assert "Nothing is confirmed so far; the run is going on" in str(said[0])
    assert "A confirmation of c005, c004, c002 is going on (confirm-1)." in str(said[1])


def test_no_ranking_mixes_rungs(story: Story, report: Report) -> None:
    found = boards(report)
    assert len(found) == 3
    for heading, board in found.items():
        ids = [row[1] for row in board if len(row) > 2]
        at = {story.by_id[node]["rungs"][-1]["rung"] for node in ids}
        assert len(at) == 1, heading
        means = [mean_at(story.by_id[node], *at) for node in ids]
        assert means == sorted(means, reverse=True)
    assert sum(len(row) > 2 for board in found.values() for row in board) == sum(bool(c["rungs"]) for c in story.tried)


def test_each_ranking_has_the_line_of_the_best_expected_by_chance_where_it_belongs(
    story: Story, report: Report
) -> None:
    for (rung, _), board in zip(sorted(story.rungs, reverse=True), boards(report).values(), strict=True):
        level = story.level(rung)
        assert level
        assert level.std
        (at,) = [i for i, row in enumerate(board) if len(row) == 2]
        chance = expected_best(len(story.scored), level.std)
        assert board[at][1] == f"expected best of {len(story.scored)} by chance alone: {chance:+.1f}"
        over = [mean_at(story.by_id[row[1]], rung) - level.mean for row in board if len(row) > 2]
        assert all(gain >= chance for gain in over[:at])
        assert all(gain < chance for gain in over[at:])


def test_gains_and_marks_are_those_of_the_documents(story: Story, report: Report) -> None:
    for board in boards(report).values():
        for row in (row for row in board if len(row) > 2):
            gain = story.by_id[row[1]]["gain"]
            assert row[3] == interval(gain)
            assert row[5].endswith(gain["mark"])
            assert row[7] == str(gain["seeds"])


def test_the_lineage_shows_every_candidate_once_with_its_mark(story: Story, report: Report) -> None:
    (figure,) = section(report, "lineage").blocks
    assert isinstance(figure, Figure)
    for candidate in story.candidates:
        assert figure.svg.count(f"<title>{candidate['name']} ({candidate['id']})\n") == 1
        assert sum(line.split()[0] == candidate["id"] for line in figure.words.splitlines()) == 1
    assert figure.svg.count('class="ring"') == len(story.confirmed)
    assert figure.svg.count("<rect") == 3, "the control arm"
    depth = {line.split()[0]: (len(line) - len(line.lstrip())) // 2 for line in figure.words.splitlines()}
    assert depth == {c["id"]: c["depth"] for c in story.candidates}


def test_the_confirmation_names_what_was_not_confirmed_and_the_alpha_that_is_left(story: Story, report: Report) -> None:
    words = said(section(report, "confirmation"))
    for node in story.studies[0]["nodes"]:
        confirmed = story.by_id[node]["confirmed"]
        row = next(line for line in words.splitlines() if line.startswith(f"{node} | "))
        assert interval(confirmed, "gain") in row
        assert f"{confirmed['p']:.2g}" in row
        assert row.endswith(confirmed["verdict"])
        assert (f"({node}): " in words.splitlines()[-1]) == (confirmed["verdict"] != "confirmed")
    assert LOSER in words.splitlines()[-1]
    assert "Of the error allowed, 0.05, 0.0399 is taken, 0.0101 left." in words


def test_a_study_that_goes_on_shows_its_looks_so_far_and_no_verdict(story: Story) -> None:
    from engine.report.confirmation import confirmation

    study = story.studies[0] | {"status": "running", "dropped": {LOSER: "pruned"}}
    looks = study["judged"]
    study = study | {"judged": {WINNER: looks[WINNER][:1]}}
    waiting = [c | {"confirmed": None} for c in story.candidates]
    (table,) = [
        b
        for b in confirmation(Story(story.folder, story.run | {"studies": [study]}, waiting, [], {}, True))
        if isinstance(b, Table)
    ]
    by_id = {row[0]: row for row in rows(table)}
    assert by_id[WINNER][-1] == "continue"
    assert by_id[WINNER][3] == interval(looks[WINNER][0], "gain")
    assert by_id[LOSER][-1] == "none: pruned"


def test_attribution_shows_each_mechanism_with_its_verdict_and_the_way_there(story: Story, report: Report) -> None:
    words = said(section(report, "attribution"))
    for one in story.by_id[WINNER]["attribution"]["mechanisms"]:
        row = f"{one['name']} | {interval(one['off'], 'effect')} | {interval(one['alone'], 'effect')} | "
        assert row + f"{interval(one['shapley'])} | {one['verdict']}" in words
    way = [line for line in words.splitlines() if re.match(r"c\d+ \| Variant", line)]
    assert way[-1].startswith(f"{WINNER} | ")
    assert [story.by_id[line.split(" ")[0]]["depth"] for line in way] == list(
        range(1, story.by_id[WINNER]["depth"] + 1)
    )


def test_costs_are_the_sums_over_the_trainings(story: Story, report: Report) -> None:
    cost = cost_of(story)
    wanted = sum(busy(t) for t in story.trials if t["purpose"] in ("search", "baseline", "control"))
    assert cost.discovery == pytest.approx(wanted)
    assert cost.confirm == pytest.approx(sum(busy(t) for t in story.trials if t["purpose"] == "confirm"))
    assert f"come on top: {seconds(cost.confirm + cost.ablate)}" in said(section(report, "costs"))
    cached = [t | {"cached": True} if t["purpose"] == "baseline" else t for t in story.trials]
    kept = Story(story.folder, story.run, story.candidates, cached, story.config, True)
    assert cost_of(kept).root == pytest.approx(busy(story.trials[0])), "what came from an earlier run cost nothing here"


def test_failures_are_told_by_kind(report: Report) -> None:
    words = said(section(report, "failures"))
    for node, kind in ((FAILED, "failed in training"), (DUPLICATE, "equal to an earlier"), (REFUSED, "refused by")):
        assert [line for line in words.splitlines() if line.startswith(kind) and line.endswith(node)]
    assert "not promising enough at 4 of 48 updates" in words


def test_the_control_arm_stands_beside_the_search_at_the_same_rung(story: Story, report: Report) -> None:
    table = next(b for b in section(report, "control").blocks if isinstance(b, Table))
    whole = {row[1]: row for row in rows(table) if row[0].startswith("the whole")}
    assert whole["the search"][2] == str(len(story.at(1.0, "search")))
    assert whole["at random"][2] == str(len(story.at(1.0, "control")))


def test_the_command_repeats_the_run(story: Story, report: Report) -> None:
    line = "poise run --profile tiny --candidates 20 --seed 7 --workers 2 --llm poise/composer --control random=3"
    assert command(story.config) == line
    mine = {"profile": {"name": "mine"}, "seed": 0, "directive": "shorter; rm -rf /", "hours": 0.5, "gpu_hours": 0.0}
    assert command(mine).endswith("poise run --profile mine.toml --seed 0 --directive 'shorter; rm -rf /' --hours 0.5")
    assert command(mine).startswith("# mine.toml: ")


def test_the_winners_file_is_there_in_full(story: Story, report: Report) -> None:
    assert story.folder.candidate(WINNER).algorithm.read_text().strip() in str(
        [b.text.strip() for b in section(report, "winner").blocks if hasattr(b, "text")][-1]
    )
    assert f"poise export made-up --format trl --node {WINNER} > algorithm.py" in str(section(report, "winner").blocks)


def test_the_documents_are_as_the_archive_has_them(story: Story) -> None:
    archive = read_archive(story.folder.archive)
    assert [c["id"] for c in story.candidates] == [c["id"] for c in archive.candidates()]
    assert story.trials == archive.trials()
