"""The run's knowledge page: what helps, what fails, under which condition, with how much evidence.

It adds up the findings of the search's own candidates (`engine.search.findings`): pure, and deterministic in them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from engine.search.contrast import CONTROL, Z95
from engine.search.evidence import Evidence
from engine.search.findings import Finding
from engine.search.text import one_line, quoted

MOST_ADVICE = 8
"""Lines of advice, and of warnings, on the page; the newest."""
LONGEST_LINE = 240
NOWHERE: Mapping[float, float] = {}


@dataclass(frozen=True)
class Lesson:
    """All that the run has seen of one change of an algorithm.

    Attributes:
        about: the mechanisms added, tuned or (`without X`) removed together.
        gains: points of Overall over the parent, a scored candidate each.
        margin: half the 95 % interval of their mean; infinite without gains.
        failures: causes of candidates that got no score.
        where: by condition (a task), the differences that exceeded their interval.
        seen_in: ids of the candidates.
        rung: the share of a training after which these gains were seen; gains of different rungs are not averaged.
    """

    about: tuple[str, ...]
    gains: tuple[float, ...]
    margin: float
    failures: tuple[str, ...]
    where: tuple[tuple[str, tuple[float, ...]], ...]
    seen_in: tuple[str, ...]
    rung: float = 1.0

    @property
    def mean(self) -> float:
        """Mean gain; 0 without any."""
        return fmean(self.gains) if self.gains else 0.0

    def line(self) -> str:
        """The lesson in a line."""
        told = " + ".join(self.about)
        parts = []
        if self.gains:
            times = "1 training" if len(self.gains) == 1 else f"{len(self.gains)} trainings"
            early = "" if self.rung >= 1 else f", judged after {self.rung:.0%} of it"
            parts.append(f"{self.mean:+.1f} ± {self.margin:.1f} ({times}{early})")
        if self.failures:
            parts.append(f"{len(self.failures)} without a score: {one_line(self.failures[-1], 80)}")
        parts += [f"{where} {', '.join(f'{d:+.1f}' for d in found)}" for where, found in self.where]
        return one_line(f"{told}: {'; '.join(parts)} [{', '.join(self.seen_in)}]", LONGEST_LINE)


@dataclass(frozen=True)
class Knowledge:
    """What a run has learnt so far."""

    candidates: int
    """Scored candidates it rests on, the root aside."""
    noise: float | None
    """Standard deviation of Overall between trainings of the root that differ by seed alone, where known."""
    helps: tuple[Lesson, ...] = ()
    hurts: tuple[Lesson, ...] = ()
    fails: tuple[Lesson, ...] = ()
    """Changes that never got a score."""
    unclear: tuple[Lesson, ...] = ()
    """Everything within its interval, the best first."""
    advice: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    switched_off: tuple[str, ...] = ()
    """What ablations have shown: the only lines here about causes."""

    def markdown(self) -> str:
        """The whole page."""
        known = (
            f"Root trainings that differ by seed alone spread by {self.noise:.2f} (standard deviation)"
            if (self.noise is not None)
            else "The noise between seeds is not known yet: intervals are over problems alone, and too narrow"
        )
        head = (
            f"# Knowledge\n\nFrom {self.candidates} scored candidates. Gains are points of Overall over the parent, "
            f"with 95 % intervals. {known}."
        )
        body = [
            f"## {title}\n" + "\n".join(f"- {line}" for line in lines) for title, lines in self._sections() if lines
        ]
        return "\n\n".join([head, *body]) + "\n"

    def brief(self, room: int) -> str:
        """The page within `room` characters, for a prompt: whole lines, each section's first ones first."""
        sections = [(title, lines) for title, lines in self._sections() if lines]
        kept: dict[str, list[str]] = {title: [] for title, _ in sections}
        room -= sum(len(title) + 2 for title, _ in sections)
        for i in range(max((len(lines) for _, lines in sections), default=0)):
            for title, lines in sections:
                if i < len(lines) and len(lines[i]) + 3 <= room:
                    kept[title].append(lines[i])
                    room -= len(lines[i]) + 3
        told = [f"{title}:\n" + "\n".join(f"- {line}" for line in lines) for title, lines in kept.items() if lines]
        return quoted("\n".join(told), 1 << 20)

    def _sections(self) -> list[tuple[str, list[str]]]:
        return [
            ("Shown by switching off", list(self.switched_off)),
            ("Helps", [lesson.line() for lesson in self.helps]),
            ("Hurts", [lesson.line() for lesson in self.hurts]),
            ("Never got a score", [lesson.line() for lesson in self.fails]),
            ("Cannot tell yet", [lesson.line() for lesson in self.unclear]),
            ("To try next", list(self.advice)),
            ("Not again", list(self.warnings)),
        ]


def knowledge(
    candidates: Sequence[Evidence], noise: float | None = None, at_rungs: Mapping[float, float] = NOWHERE
) -> Knowledge:
    """Everything the search's own candidates have shown; the control arm's and pruned ones are left out.

    Args:
        candidates: what a decision may see, in order.
        noise: standard deviation of Overall between seeds; it widens every interval.
        at_rungs: the same at the rungs before the end.
    """
    own = [c for c in candidates if c.arm != CONTROL and c.status != "pruned"]
    by_change: dict[tuple[str, ...], list[tuple[str, Finding]]] = {}
    for c in own:
        for finding in c.findings:
            by_change.setdefault(tuple(sorted(finding.about)), []).append((c.id, finding))
    lessons = [_lesson(about, told, {1.0: noise, **at_rungs}) for about, told in by_change.items()]
    tried = sorted((le for le in lessons if le.gains), key=lambda le: (-le.mean, le.about))
    every = [finding for c in own for finding in c.findings]
    return Knowledge(
        candidates=sum(c.scored and c.parent is not None for c in own),
        noise=noise,
        helps=tuple(le for le in tried if le.mean > le.margin),
        hurts=tuple(le for le in reversed(tried) if le.mean < -le.margin),
        fails=tuple(le for le in lessons if not le.gains),
        unclear=tuple(le for le in tried if abs(le.mean) <= le.margin),
        advice=_newest(f.next for f in every),
        warnings=_newest(f.never for f in every),
        switched_off=tuple(f"{e.line()} [{c.id}]" for c in own for e in c.effects),
    )


def _lesson(about: tuple[str, ...], told: Sequence[tuple[str, Finding]], noise: Mapping[float, float | None]) -> Lesson:
    overall = [f for _, f in told if f.condition is None]
    rung = max((f.rung for f in overall if f.gain is not None), default=1.0)
    scored = [(f.gain, f.margin or 0.0) for f in overall if f.gain is not None and f.rung == rung]
    where: dict[str, list[float]] = {}
    for _, f in told:
        if f.condition is not None and f.gain is not None and f.rung == rung:
            where.setdefault(f.condition, []).append(f.gain)
    return Lesson(
        about=about,
        gains=tuple(gain for gain, _ in scored),
        margin=_margin(scored, noise.get(rung)),
        failures=tuple(f.effect.removeprefix("no score: ") for f in overall if f.gain is None),
        where=tuple((name, tuple(found)) for name, found in where.items()),
        seen_in=tuple(dict.fromkeys(id for id, _ in told)),
        rung=rung,
    )


def _margin(scored: Sequence[tuple[float, float]], noise: float | None) -> float:
    """Half the 95 % interval of the mean gain: what is known of each gain's error, or their own spread if larger."""
    n = len(scored)
    if not n:
        return math.inf
    between_seeds = Z95 * math.sqrt(2) * (noise or 0.0)  # candidate and parent were trained once each
    known = math.sqrt(sum(margin**2 + between_seeds**2 for _, margin in scored)) / n
    if n == 1:
        return known
    from scipy.stats import t  # a third of a second to import

    return max(known, float(t.ppf(0.975, n - 1)) * stdev(gain for gain, _ in scored) / math.sqrt(n))


def _newest(lines: Iterable[str | None]) -> tuple[str, ...]:
    """The newest distinct ones, the newest first."""
    told: dict[str, None] = {}
    for line in reversed([line for line in lines if line]):
        told.setdefault(one_line(line, LONGEST_LINE))
        if len(told) == MOST_ADVICE:
            break
    return tuple(told)
