"""All scored candidates as a table: sorted by any column, the Pareto front over the tasks marked."""

from collections.abc import Callable
from dataclasses import dataclass

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.events import Click, Resize
from textual.strip import Strip

from engine.search.pareto import fronts
from poise_tui.format import Glyphs, duration, number, shorten, signed
from poise_tui.snapshot import Candidate, Snapshot
from poise_tui.state import Shown
from poise_tui.widgets.pane import LinesPane, NodeSelected

Value = float | str | None


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    name: str
    width: int
    value: Callable[[Candidate], Value]
    """What it is sorted by; None stands last."""
    text: Callable[[Candidate], str]
    upwards: bool = False
    """Whether the smallest stands on top at first."""


def columns(tasks: tuple[str, ...], glyphs: Glyphs) -> tuple[Column, ...]:
    """The table's columns, those of the tasks included."""
    return (
        Column("Overall", 8, lambda c: c.overall, lambda c: number(c.overall)),
        Column("gain", 15, lambda c: c.gain.value if c.gain else None, lambda c: _gain(c, glyphs)),
        Column("at", 6, lambda c: c.fidelity, lambda c: "whole" if c.updates is None else f"@{c.updates}"),
        Column("seeds", 6, lambda c: float(len(c.seeds)), lambda c: str(len(c.seeds) or "")),
        Column("trained", 9, lambda c: c.seconds, lambda c: duration(c.seconds), True),
        Column("id", 7, lambda c: c.id, lambda c: c.id, True),
        *(Column(task[:7], 8, lambda c, t=task: dict(c.tasks).get(t), lambda c, t=task: number(dict(c.tasks).get(t)))  # type: ignore[misc]
          for task in tasks),
    )  # fmt: skip


def _gain(candidate: Candidate, glyphs: Glyphs) -> str:
    gain = candidate.gain
    return f"{signed(gain.value)} {glyphs.half}{gain.half:.1f}" if gain else ""


def front(candidates: list[Candidate], tasks: tuple[str, ...]) -> frozenset[str]:
    """Whole trainings that no other one beats or equals in every task and beats in one."""
    whole = [c for c in candidates if c.fidelity >= 1 and c.tasks and c.status != "pruned"]
    rows = [[dict(c.tasks).get(task, float("-inf")) for task in tasks] for c in whole]
    return frozenset(c.id for c, place in zip(whole, fronts(rows), strict=True) if place == 0)


class Leaderboard(LinesPane):
    """One line a candidate; whole trainings stand above those stopped at a rung while sorted by scores."""

    COMPONENT_CLASSES = {"table--head", "table--cursor", "table--front", "table--better", "table--worse"}  # noqa: RUF012
    BORDER_SUBTITLE = "o: sort by the next column, O: the other way round"

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id="leaderboard")
        self._glyphs = glyphs
        self._state = Shown()
        self._tasks: tuple[str, ...] = ()
        self._columns = columns((), glyphs)
        self._rows: list[Candidate] = []
        self._front: frozenset[str] = frozenset()
        self._node: str | None = None
        self._sorted, self._reversed = 0, False

    @property
    def rows(self) -> list[str]:
        """The ids from the top down."""
        return [candidate.id for candidate in self._rows]

    def show(self, shown: Shown) -> None:
        """Show another state of the run."""
        before, self._state = self._state, shown
        if self._node is None:
            self._node = shown.selected
        if shown.snapshot.candidates is not before.snapshot.candidates or shown.query is not before.query:
            self._collect(shown.snapshot)

    def _collect(self, snapshot: Snapshot) -> None:
        scored = [c for c in snapshot.candidates.values() if c.overall is not None]
        tasks = tuple(dict.fromkeys(task for c in scored for task, _ in c.tasks))
        if tasks != self._tasks:
            self._tasks, self._columns = tasks, columns(tasks, self._glyphs)
        self._front = front(scored, tasks)
        self._rows = [c for c in scored if self._state.query.fits(c)]
        self._sort()

    def _sort(self) -> None:
        column = self._columns[self._sorted]
        known = [c for c in self._rows if column.value(c) is not None]
        known.sort(key=lambda c: column.value(c), reverse=column.upwards is self._reversed)  # type: ignore[arg-type, return-value]
        if column.name in ("Overall", *self._tasks):  # those of a rung do not compare with whole ones
            known.sort(key=lambda c: c.fidelity, reverse=not self._reversed)
        self._rows = known + [c for c in self._rows if column.value(c) is None]
        arrow = ("v", "^") if self._glyphs.ascii else ("▾", "▴")
        self.border_title = f"6 leaderboard by {column.name} {arrow[column.upwards is not self._reversed]}"
        self.set_lines(len(self._rows) + 1)
        self._reveal()
        self.refresh()

    def order(self, direction: int) -> bool:
        self._sorted, self._reversed = (self._sorted + direction) % len(self._columns), False
        self._sort()
        return True

    def reverse(self) -> None:
        self._reversed = not self._reversed
        self._sort()

    # -- the cursor --------------------------------------------------------------------------------------------

    def _place(self) -> int:
        return next((i for i, c in enumerate(self._rows) if c.id == self._node), 0)

    def node(self) -> str | None:
        return self._node

    def go_to(self, node: str) -> None:
        self._node = node
        self._reveal()
        self.refresh()

    def _go(self, place: int) -> None:
        if self._rows:
            self.go_to(self._rows[max(0, min(place, len(self._rows) - 1))].id)
            self.post_message(NodeSelected(str(self._node)))

    def step(self, rows: int) -> bool:
        self._go(self._place() + rows)
        return True

    def end(self, bottom: bool) -> bool:
        self._go(len(self._rows) if bottom else 0)
        return True

    def _reveal(self) -> None:
        """Scroll as little as shows the cursor, below the head."""
        line, top, height = self._place(), self.scroll_offset.y, self.scrollable_content_region.height - 1
        if line < top:
            self.scroll_to(y=line, animate=False)
        elif height > 0 and line >= top + height:
            self.scroll_to(y=line - height + 1, animate=False)

    def on_click(self, event: Click) -> None:
        if (offset := event.get_content_offset(self)) is not None and offset.y > 0:
            self._go(offset.y - 1 + self.scroll_offset.y)

    def on_resize(self, _: Resize) -> None:
        self.set_lines(len(self._rows) + 1)
        self._reveal()

    # -- drawing -----------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.rich_style
        if y == 0:
            return self._head(width)
        place = y - 1 + self.scroll_offset.y
        if place >= len(self._rows):
            return Strip.blank(width, base)
        candidate = self._rows[place]
        if candidate.id == self._node:
            under = self.get_component_rich_style("table--cursor")
            base += Style(bgcolor=under.bgcolor, bold=under.bold)
        on_front = candidate.id in self._front
        mark = (self._glyphs.front if on_front else " ") + (
            self._glyphs.confirmed if candidate.verdict == "confirmed" else " "
        )
        cells = [Segment(f"{place + 1:>4} ", base), Segment(mark + " ", base + self._component("front"))]
        cells.append(Segment(self._label(candidate, width), base))
        mood = {"better": "better", "worse": "worse"}.get(candidate.gain.mark if candidate.gain else "", "")
        for column in self._fitting(width):
            style = base + self._component(mood) if column.name == "gain" and mood else base
            cells.append(Segment(f"{column.text(candidate):>{column.width}} ", style))
        return Strip(cells).adjust_cell_length(width, base)

    def _component(self, name: str) -> Style:
        found = self.get_component_rich_style(f"table--{name}")
        return Style(color=found.color, bold=found.bold)

    def _fitting(self, width: int) -> list[Column]:
        """As many columns as there is room for beside the name, the one it is sorted by among them."""
        first = self._columns[self._sorted]
        room = width - 8 - 16 - first.width - 1
        kept = {first.name}
        for column in self._columns:
            if column is not first and (room := room - column.width - 1) >= 0:
                kept.add(column.name)
        return [column for column in self._columns if column.name in kept]

    def _label(self, candidate: Candidate, width: int) -> str:
        room = max(8, width - 8 - sum(column.width + 1 for column in self._fitting(width)))
        return set_cell_size(shorten(candidate.name, room - 1, self._glyphs), room)

    def _head(self, width: int) -> Strip:
        style = self.rich_style + self._component("head")
        fitting = self._fitting(width)
        room = max(8, width - 8 - sum(column.width + 1 for column in fitting))
        cells = [Segment(f"{'':8}{'name':{room}}", style)]
        for column in fitting:
            chosen = column is self._columns[self._sorted]
            cells.append(Segment(f"{column.name:>{column.width}} ", style + Style(reverse=chosen)))
        return Strip(cells).adjust_cell_length(width, style)
