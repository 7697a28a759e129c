"""The first line: which run, how it goes, how far it is, what it found and what it cost."""

from collections.abc import Callable
from statistics import fmean, stdev

from textual.content import Content
from textual.widgets import Static

from poise_tui.format import Glyphs, duration, number, signed
from poise_tui.liveness import stale, state
from poise_tui.snapshot import ENDED, Run
from poise_tui.state import Shown

MOOD = {"better": "$success", "worse": "$error"}
SETTLED = ("scored", "failed", "infeasible", "duplicate", "stopped", "pruned")


class Header(Static):
    """Says it anew once a second while the run lives."""

    def __init__(self, glyphs: Glyphs, clock: Callable[[], float], *, readonly: bool) -> None:
        super().__init__(id="header")
        self._glyphs, self._clock, self._readonly = glyphs, clock, readonly
        self._state = Shown()
        self._pulse = True
        self._shown: Content | None = None

    def on_mount(self) -> None:
        self.set_interval(1.0, self._beat)
        self.set_interval(60.0, self._say)  # of an ended run only the age changes

    def show(self, shown: Shown) -> None:
        """Show another state of the run."""
        self._state = shown
        self._say()

    def on_resize(self) -> None:
        self._say()

    def _beat(self) -> None:
        run = self._state.snapshot.run
        if run is not None and run.shown not in ENDED and self.screen is self.app.screen_stack[0]:
            self._pulse = not self._pulse
            self._say()

    def _say(self) -> None:
        run = self._state.snapshot.run
        content = Content(" POISE") if run is None else self._line(run)
        if self._shown is None or not content.is_same(self._shown):
            self._shown = content
            self.update(content, layout=False)

    def _line(self, run: Run) -> Content:
        """As many parts as the width has room for, the most important first."""
        snapshot = self._state.snapshot
        now = self._clock()
        words, style = state(run, now)
        dot = self._glyphs.dot if self._pulse or run.shown in ENDED else self._glyphs.hollow
        nodes = [c for c in snapshot.candidates.values() if c.parent is not None and c.id.startswith("c")]
        done = sum(c.status in SETTLED for c in nodes)
        parts: list[tuple[int, Content]] = [
            (0, Content.styled(f" {run.id}", "bold")),
            (0, Content.styled(f"{dot} {words}", style)),
            (1, Content(f"{done}/{run.total}" if run.total else f"{done} done")),
        ]
        if (best := snapshot.best) is not None:
            parts.append((0, Content(f"best {number(best.overall)}")))
            if (gain := best.gain) is not None:
                told = f"{signed(gain.value)} {self._glyphs.half}{number(gain.half)} vs root ({best.id})"
                parts.append((1, Content.styled(told, MOOD.get(gain.mark, ""))))
        if waits := self._state.pending_of(None):
            parts.insert(2, (0, Content.styled(f"{waits}{self._glyphs.ellipsis}", "$warning")))
        if self._state.query:
            parts.append((1, Content.styled(f"/{self._state.query.text}", "$accent")))
        confirmed = sum(c.verdict == "confirmed" for c in snapshot.candidates.values())
        if confirmed:
            parts.append((2, Content.styled(f"{confirmed} confirmed", "bold $success")))
        if snapshot.root_seeds > 1:
            parts.append((2, Content(self._level(snapshot.level or (), snapshot.root_seeds))))
        if snapshot.chance is not None:
            many, points = snapshot.chance
            parts.append((3, Content(f"chance alone: best of {many} about {signed(points)}")))
        if (news := stale(run, now)) is not None:
            parts.insert(2, (1, Content.styled(news, "$warning")))
        parts.append((1, Content(duration(run.elapsed(now)))))
        spent = f"${run.usd:.2f}" + (f" {run.gpu_seconds / 3600:.1f} GPU h" if run.gpu_seconds else "")
        parts.append((3, Content(spent)))
        parts.insert(1, (2, Content(run.profile)))
        full = run.sandbox == "full"
        parts.append((4 if full else 1, Content.styled(f"sandbox {run.sandbox}", "" if full else "$warning")))
        if self._readonly:
            parts.append((0, Content.styled("read-only", "$warning")))
        gap = Content("  ")
        for least in (4, 3, 2, 1, 0):
            line = gap.join([content for rank, content in parts if rank <= least])
            if line.cell_length <= self.size.width:
                return line
        return line

    def _level(self, scores: tuple[float, ...], wanted: int) -> str:
        """The root's level and noise, and how many of its trainings that is from while more are to come."""
        level = f" {fmean(scores):.1f}" if scores else ""
        noise = f" {self._glyphs.half}{stdev(scores):.1f}" if len(scores) > 1 else ""
        of = f"{len(scores)}/{wanted}" if len(scores) < wanted else f"{wanted}"
        return f"root{level}{noise} ({of} seeds)"
