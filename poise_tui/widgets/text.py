"""A long text that scrolls: laid out once for its width, and painted only where it changed."""

from textual.content import Content
from textual.events import Resize
from textual.strip import Strip
from textual.visual import Visual

from poise_tui.widgets.changes import changed_regions
from poise_tui.widgets.pane import LinesPane


class TextView(LinesPane, can_focus=False):
    """Shows a `Content`. A Static in a scroll container does too, and lays out the whole screen for every new text."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.auto_links = False
        self._content = Content("")
        self._strips: list[Strip] = []

    @property
    def content(self) -> Content:
        """What it shows."""
        return self._content

    def show(self, content: Content) -> None:
        """Show another text, from where one has scrolled to."""
        if content.is_same(self._content):
            return
        self._content = content
        before = self._visible()
        self._lay_out()
        after = self._visible()
        if len(before) != len(after):
            self.refresh()
        elif regions := changed_regions(before, after, self.scrollable_content_region.width):
            self.refresh(*regions)

    def on_resize(self, _: Resize) -> None:
        self._lay_out()
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self.is_attached:
            self._lay_out()

    def render_line(self, y: int) -> Strip:
        place, width = y + self.scroll_offset.y, self.scrollable_content_region.width
        return self._strips[place] if place < len(self._strips) else Strip.blank(width, self.rich_style)

    def _visible(self) -> list[Strip]:
        blank = Strip.blank(self.scrollable_content_region.width, self.rich_style)
        found = self._strips[self.scroll_offset.y :][: self.size.height]
        return [*found, *[blank] * (self.size.height - len(found))]

    def _lay_out(self) -> None:
        width = self.scrollable_content_region.width
        strips = Visual.to_strips(self, self._content, width, None, self.visual_style) if width else []
        base = self.rich_style
        self._strips = [strip.adjust_cell_length(width, base) for strip in strips]
        self.set_lines(len(self._strips))
