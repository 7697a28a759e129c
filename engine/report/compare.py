"""Two runs side by side, as lines for a terminal. Scores of different protocols are never subtracted."""

from __future__ import annotations

from collections.abc import Iterator

from engine.report.costs import cost_of
from engine.report.story import Story, mean_at
from engine.report.words import GLYPH, interval, name_of, number, percent, plural, seconds
from engine.untrusted import one_line

Row = tuple[str, str, str, str]
NAME = 28


def compare_lines(left: Story, right: Story) -> list[str]:
    """What to print: a table of both runs, and whether their scores can be compared at all."""
    same = comparable(left, right)
    rows: list[Row] = [("", _id(left), _id(right), "difference" if same else "")]
    rows += _facts(left, right)
    for rung in sorted({r for story in (left, right) for r, _ in story.rungs}, reverse=True):
        rows += _at(left, right, rung, same)
    rows += _ends(left, right)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if same:
        return [*lines, "The best were chosen for being high: a difference between them is no evidence."]
    protocols = " and ".join(one_line(s.run.get("protocol") or "none", 32) for s in (left, right))
    return [*lines, f"The protocols differ ({protocols}): the scores are not comparable, so no difference is shown."]


def comparable(left: Story, right: Story) -> bool:
    """Whether scores of both mean the same: the same protocol, and that is known."""
    return left.run.get("protocol") is not None and left.run.get("protocol") == right.run.get("protocol")


def _facts(*stories: Story) -> Iterator[Row]:
    yield _row("profile, seed", *(f"{one_line(s.run.get('profile'), NAME)}, {s.run.get('seed')}" for s in stories))
    yield _row("status", *(one_line(s.run["status"]) for s in stories))
    yield _row("protocol", *(one_line(s.run.get("protocol") or "unknown", 32) for s in stories))
    yield _row("proposals by", *(one_line(s.run.get("llm") or "", NAME) for s in stories))
    yield _row("candidates", *(f"{len(s.tried)}, {cost_of(s).candidates} trained" for s in stories))


def _at(left: Story, right: Story, rung: float, same: bool) -> Iterator[Row]:
    levels, bests = [s.level(rung) for s in (left, right)], [next(iter(s.at(rung, None)), None) for s in (left, right)]
    where = (left if rung in dict(left.rungs) else right).at_words(rung)
    both = [level.mean for level in levels if level]
    yield ("", "", "", "")
    roots = ["-" if v is None else f"{number(v.mean)} ± {number(v.std)} ({plural(v.seeds, 'seed')})" for v in levels]
    yield (f"root at {where}", roots[0], roots[1], _difference(both, same))
    scores = [mean_at(best, rung) for best in bests if best]
    named = ["-" if b is None else f"{number(mean_at(b, rung))} {b['id']} {one_line(name_of(b), NAME)}" for b in bests]
    yield ("  best that ended there", named[0], named[1], _difference(scores, same))
    yield _row("  its gain", *(_gain(b["gain"] if b else None) for b in bests))


def _ends(*stories: Story) -> Iterator[Row]:
    yield ("", "", "", "")
    most = max(1, *(len(s.confirmed) for s in stories))
    for i in range(most):
        said = []
        for story in stories:
            found = story.confirmed[i] if i < len(story.confirmed) else None
            said.append(
                f"{found['id']} {one_line(name_of(found), NAME)} {interval(found['confirmed'], 'gain')}"
                if found
                else ("nothing" if i == 0 else "")
            )
        yield _row("confirmed" if i == 0 else "", *said)
    costs = [cost_of(s) for s in stories]
    shares = (f" ({percent(c.discovery, c.full)} of all wholly)" if c.full else "" for c in costs)
    yield _row("search cost", *(f"{seconds(c.discovery)}{share}" for c, share in zip(costs, shares, strict=True)))
    yield _row("studies", *(seconds(c.confirm + c.ablate) for c in costs))
    spent = [s.run.get("spent") or {} for s in stories]
    yield _row("wall clock", *(seconds(float(s.get("wall_seconds") or 0.0)) for s in spent))
    yield _row("language models", *(f"${float(s.get('llm_usd') or 0.0):.2f}" for s in spent))


def _row(what: str, left: str, right: str) -> Row:
    return what, left, right, ""


def _difference(values: list[float], same: bool) -> str:
    """The second's lead over the first, where both are known and may be compared."""
    return f"{values[1] - values[0]:+.1f}" if same and len(values) == 2 else ""


def _gain(gain: dict[str, object] | None) -> str:
    return "-" if not gain else f"{interval(gain)} {GLYPH.get(str(gain['mark']), '')} {gain['mark']}"


def _id(story: Story) -> str:
    return one_line(story.run["id"], NAME)
