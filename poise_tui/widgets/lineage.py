"""The tree of candidates, live: one line a node, drawn only where it is visible."""

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.events import Click, Resize
from textual.strip import Strip

from poise_tui.arrange import arrange, dead_lineages
from poise_tui.format import Glyphs, number, shorten, signed
from poise_tui.snapshot import Branch, Candidate, Snapshot
from poise_tui.state import Shown
from poise_tui.widgets.columns import FROM, extra
from poise_tui.widgets.pane import LinesPane, NodeSelected

STATUSES = (
    *("queued", "verifying", "training", "paused", "scoring", "scored"),
    *("stopped", "failed", "infeasible", "pruned", "duplicate"),
)
NUMBERS = 14
"""Columns at the right for Overall and the gain over the root's, or for the progress."""
HALF = 8
"""Further ones for half the gain's interval."""
WIDE = 60
"""Columns of the pane from which there is room for that."""
MOODS = {"better": "lineage--better", "worse": "lineage--worse"}


class Lineage(LinesPane):
    """Candidates as a tree with a cursor. Left folds a branch, right unfolds it."""

    COMPONENT_CLASSES = {  # noqa: RUF012
        "lineage--guide",
        "lineage--cursor",
        "lineage--better",
        "lineage--worse",
        "lineage--best",
        *(f"status--{status}" for status in STATUSES),
    }
    BORDER_TITLE = "2 candidates"
    BORDER_SUBTITLE = "Overall or @update, vs root"

    def __init__(self, glyphs: Glyphs, *, full: bool = False) -> None:
        """
        Args:
            full: with all columns that there is room for.
        """
        super().__init__(id="lineage")
        self._glyphs, self._full = glyphs, full
        if full:
            self.border_subtitle = "Overall or @update, vs root; reward, scored at, seeds, training time"
        self._state = Shown()
        self._rows: tuple[Branch, ...] = ()
        self._folded: set[str] = set()
        self._place = 0

    @property
    def selected(self) -> Candidate | None:
        """The candidate under the cursor."""
        if self._place < len(self._rows):
            return self._snapshot.candidates.get(self._rows[self._place].id)
        return None

    @property
    def _snapshot(self) -> Snapshot:
        return self._state.snapshot

    def show(self, shown: Shown) -> None:
        """Draw another state of the run; the cursor stays on its node."""
        before, self._state = self._state, shown
        snapshot, known = shown.snapshot, before.snapshot
        if shown.folded_dead != before.folded_dead:
            self._folded = set(dead_lineages(snapshot)) if shown.folded_dead else set()
        moves = (shown.query, shown.order, shown.folded_dead) != (before.query, before.order, before.folded_dead)
        grows = snapshot.tree is not known.tree
        changes = snapshot.candidates is not known.candidates and bool(shown.query or shown.order != "age")
        if moves or grows or changes:
            self._arrange()
        elif snapshot.best is not known.best or snapshot.root is not known.root or shown.pending != before.pending:
            self.refresh()  # every distance from the root may be another
        elif snapshot.candidates is not known.candidates:
            top = self.scroll_offset.y
            for place in range(top, min(top + self.size.height, len(self._rows))):
                node = self._rows[place].id
                if snapshot.candidates[node] is not known.candidates[node]:
                    self.refresh_line(place)

    def node(self) -> str | None:
        return self.selected.id if self.selected is not None else None

    def go_to(self, node: str) -> None:
        """Put the cursor on a node, unfolding what hides it."""
        if all(branch.id != node for branch in self._rows):
            above: str | None = node
            while above is not None and (candidate := self._snapshot.candidates.get(above)) is not None:
                self._folded.discard(above := candidate.parent) if candidate.parent else None
                above = candidate.parent
            self._arrange()
        for place, branch in enumerate(self._rows):
            if branch.id == node:
                self._go(place)

    def step(self, rows: int) -> bool:
        self._go(self._place + rows)
        return True

    def end(self, bottom: bool) -> bool:
        self._go(len(self._rows) - 1 if bottom else 0)
        return True

    def side(self, columns: int) -> bool:
        """Fold or unfold the branch; left on a leaf goes to its parent."""
        if (candidate := self.selected) is None:
            return True
        if columns > 0:
            self._folded.discard(candidate.id)
        elif candidate.id not in self._folded and self._snapshot.descendants(candidate.id):
            self._folded.add(candidate.id)
        elif candidate.parent is not None:
            self.go_to(candidate.parent)
            return True
        self._arrange()
        return True

    def _arrange(self) -> None:
        node = self._rows[self._place].id if self._place < len(self._rows) else None
        state = self._state
        self._rows = arrange(state.snapshot, folded=self._folded, query=state.query, order=state.order)
        self.set_lines(len(self._rows))
        self.refresh()
        if node is None:
            self._go(0, force=True)
            return
        was, self._place = self._place, next((i for i, b in enumerate(self._rows) if b.id == node), self._place)
        if self._place != was:
            self._reveal()
        if self._place >= len(self._rows) or self._rows[self._place].id != node:  # it is hidden now
            self._go(min(self._place, len(self._rows) - 1), force=True)

    def _go(self, place: int, force: bool = False) -> None:
        place = max(0, min(place, len(self._rows) - 1))
        if not self._rows or (place == self._place and not force):
            return
        self.refresh_line(self._place)
        self._place = place
        self.refresh_line(place)
        self._reveal()
        self.post_message(NodeSelected(self._rows[place].id))

    def _reveal(self) -> None:
        """Scroll as little as shows the cursor."""
        height = self.scrollable_content_region.height
        if self._place < self.scroll_offset.y:
            self.scroll_to(y=self._place, animate=False)
        elif self._place >= self.scroll_offset.y + height:
            self.scroll_to(y=self._place - height + 1, animate=False)

    def on_resize(self, _: Resize) -> None:
        self.set_lines(len(self._rows))
        self._reveal()

    def on_click(self, event: Click) -> None:
        if (offset := event.get_content_offset(self)) is not None:
            self._go(offset.y + self.scroll_offset.y)

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.rich_style
        place = y + self.scroll_offset.y
        if place >= len(self._rows):
            return Strip.blank(width, base)
        branch = self._rows[place]
        cursor = Style()
        if place == self._place:  # only the ground changes: the colours go on saying what they say
            under = self.get_component_rich_style("lineage--cursor")
            cursor = Style(bgcolor=under.bgcolor, bold=under.bold, reverse=under.reverse)
        segments = [
            Segment(text, base + style + cursor)
            for text, style in self._cells(branch, self._snapshot.candidates[branch.id], width)
        ]
        return Strip(segments).adjust_cell_length(width, base + cursor)

    def _cells(self, branch: Branch, candidate: Candidate, width: int) -> list[tuple[str, Style]]:
        glyphs, style = self._glyphs, self.get_component_rich_style
        status = style(f"status--{candidate.status}") if candidate.status in STATUSES else Style()
        guides = self._guides(branch, width // 3)
        glyph = glyphs.status.get(candidate.status, "?")
        name = candidate.name + (f" {glyphs.folded}" if candidate.id in self._folded else "")
        half = HALF if width >= WIDE else 0
        more = f" {extra(candidate, glyphs)}" if self._full and width >= FROM else ""
        room = max(4, width - NUMBERS - half - len(guides) - 2 - len(more))
        best = self._snapshot.best is candidate
        label = set_cell_size(shorten(f"{candidate.id} {name}", room, glyphs), room)
        named = style("lineage--best") if best else status if candidate.status == "pruned" else Style()
        return [
            (guides, style("lineage--guide")),
            (f"{glyph} ", status),
            (label, named),
            *self._numbers(candidate, status, half),
            (more, style("lineage--guide")),
        ]

    def _guides(self, branch: Branch, room: int) -> str:
        """Lines from the parent; of a very deep node only the last ones."""
        if not branch.more:
            return ""
        glyphs = self._glyphs
        above = "".join(glyphs.pipe if more else glyphs.blank for more in branch.more[:-1])
        guides = above + (glyphs.tee if branch.more[-1] else glyphs.elbow)
        return guides if len(guides) <= room else glyphs.ellipsis + guides[len(guides) - room + 1 :]

    def _numbers(self, candidate: Candidate, status: Style, half: int) -> list[tuple[str, Style]]:
        """Overall, the gain with its mark, and half its interval where `half` columns are left for that.

        A score at a rung is never shown beside whole ones: there is the update instead.
        """
        glyphs = self._glyphs
        at = number(candidate.overall) if candidate.updates is None else f"@{candidate.updates}"
        if waits := self._state.pending_of(candidate.id):
            return [(f"{waits + glyphs.ellipsis:>{13 + half}} ", self.get_component_rich_style("lineage--best"))]
        if (trial := candidate.running_trial) is not None:
            percent = 100 * trial.step // max(1, trial.steps)
            shown = at if candidate.overall is not None else "training"
            return [(f"{shown:>{8 + half}} {percent:>3}% ", status)]
        if candidate.overall is None:
            return [(f"{candidate.status:>{13 + half}} ", status)]
        gain = candidate.gain
        score = (f"{at:>6}", Style(bold=candidate.updates is None))
        if gain is None:
            return [score, (" " * (NUMBERS - 6 + half), Style())]
        value = f"{signed(gain.value):>6}" + (f" {glyphs.half}{gain.half:.1f}".ljust(half)[:half] if half else "")
        mark = glyphs.confirmed if candidate.verdict == "confirmed" else glyphs.mark.get(gain.mark, " ")
        return [score, (f"{value} {mark}", self.get_component_rich_style(MOODS.get(gain.mark, "lineage--guide")))]
