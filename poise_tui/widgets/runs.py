"""The list of runs, with a cursor of its own."""

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.events import Click, Resize
from textual.strip import Strip

from engine.archive.folder import RunFolder
from poise_tui.format import Glyphs, number, shorten
from poise_tui.run_list import RunList, RunRow
from poise_tui.state import Shown
from poise_tui.widgets.pane import LinesPane, Wanted

REFRESH_SECONDS = 2.0
ORDERS = ("newest", "name", "status", "best")


class Runs(LinesPane):
    """Asks for the runs while it is looked at."""

    COMPONENT_CLASSES = {"table--head", "table--cursor", "table--front"}  # noqa: RUF012
    BORDER_SUBTITLE = "Enter: open  N: new  C: compare with the open one  X: delete"

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id="runs")
        self._glyphs = glyphs
        self._list = RunList()
        self._found: tuple[RunRow, ...] = ()
        self._rows: list[RunRow] = []
        self._open: RunFolder | None = None
        self._run: str | None = None
        self._order, self._reversed = 0, False

    @property
    def selected(self) -> RunRow | None:
        """The run under the cursor."""
        place = self._place()
        return self._rows[place] if place < len(self._rows) else None

    def on_mount(self) -> None:
        self._title()
        self.set_interval(REFRESH_SECONDS, self.ask)

    def show(self, shown: Shown) -> None:
        """Mark the run that is open."""
        if shown.folder is not self._open:
            self._open = shown.folder
            self._run = self._run or (shown.folder.id if shown.folder else None)
            self.ask()

    def ask(self) -> None:
        """Look again at what runs there are."""
        if self.screen is self.app.screen_stack[0]:
            self.post_message(Wanted(self, "runs", lambda folder: self._list.rows(folder.path.parent), self._fill))

    def _fill(self, rows: tuple[RunRow, ...]) -> None:
        if rows != self._found:
            self._found = rows
            self._sort()

    def _sort(self) -> None:
        rows = list(self._found)
        match ORDERS[self._order]:
            case "name":
                rows.sort(key=lambda row: row.folder.id)
            case "status":
                rows.sort(key=lambda row: row.status)
            case "best":
                rows.sort(key=lambda row: -(row.best if row.best is not None else float("-inf")))
        self._rows = rows[::-1] if self._reversed else rows
        self._title()
        self.set_lines(len(self._rows) + 1)
        self.refresh()

    def _title(self) -> None:
        self.border_title = f"9 runs by {ORDERS[self._order]}{' reversed' * self._reversed}"

    def order(self, direction: int) -> bool:
        self._order, self._reversed = (self._order + direction) % len(ORDERS), False
        self._sort()
        return True

    def reverse(self) -> None:
        self._reversed = not self._reversed
        self._sort()

    def _place(self) -> int:
        return next((i for i, row in enumerate(self._rows) if row.folder.id == self._run), 0)

    def _go(self, place: int) -> None:
        if self._rows:
            place = max(0, min(place, len(self._rows) - 1))
            self._run = self._rows[place].folder.id
            top, height = self.scroll_offset.y, self.scrollable_content_region.height - 1
            if place < top or place >= top + height:
                self.scroll_to(y=max(0, place - height + 1) if place > top else place, animate=False)
            self.refresh()

    def step(self, rows: int) -> bool:
        self._go(self._place() + rows)
        return True

    def end(self, bottom: bool) -> bool:
        self._go(len(self._rows) if bottom else 0)
        return True

    def on_click(self, event: Click) -> None:
        if (offset := event.get_content_offset(self)) is not None and offset.y > 0:
            self._go(offset.y - 1 + self.scroll_offset.y)

    def on_resize(self, _: Resize) -> None:
        self.set_lines(len(self._rows) + 1)

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.rich_style
        if y == 0:
            head = self.get_component_rich_style("table--head")
            line = self._line("run", "status", "nodes", "best", "profile", "begun", width)
            bold = base + Style(color=head.color, bold=True)
            return Strip([Segment("  " + line, bold)]).adjust_cell_length(width, base)
        place = y - 1 + self.scroll_offset.y
        if place >= len(self._rows):
            return Strip.blank(width, base)
        row = self._rows[place]
        if row.folder.id == self._run or (place == 0 and self._place() == 0):
            under = self.get_component_rich_style("table--cursor")
            base += Style(bgcolor=under.bgcolor, bold=under.bold)
        is_open = self._open is not None and row.folder.path.resolve() == self._open.path.resolve()
        best = "" if row.best is None else f"{number(row.best)} {row.best_name}"
        line = self._line(row.folder.id, row.status, str(row.nodes or ""), best, row.profile, row.created, width)
        accent = self.get_component_rich_style("table--front")
        mark = Segment(f"{self._glyphs.dot if is_open else ' '} ", base + Style(color=accent.color))
        return Strip([mark, Segment(line, base)]).adjust_cell_length(width, base)

    def _line(self, name: str, status: str, nodes: str, best: str, profile: str, created: str, width: int) -> str:
        room = max(12, (width - 2 - 12 - 6 - 12 - 17) // 2)
        cells = ((name, room), (status, 11), (nodes, 6), (best, room), (profile, 11), (created, 16))
        return "".join(set_cell_size(shorten(text, size, self._glyphs), size) + " " for text, size in cells)
