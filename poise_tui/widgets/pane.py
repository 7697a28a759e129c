"""What every pane of the dashboard understands, so that the same keys do the same everywhere."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from textual.containers import Vertical
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.widget import Widget

from engine.archive.folder import RunFolder


@dataclass
class NodeSelected(Message):
    """The cursor of a list of candidates stands on another one."""

    node: str


@dataclass
class Wanted(Message):
    """What a widget wants from the run's files: the application reads in a thread, the widget only shows."""

    widget: Widget
    group: str
    """A newer wish of the same group replaces this one."""
    read: Callable[[RunFolder], Any]
    then: Callable[[Any], None]


class Pane:
    """Mixed into a widget that the digits and Tab lead to."""

    def step(self, rows: int) -> bool:
        """Up or down by so many rows; False leaves the key to the tree."""
        return False

    def side(self, columns: int) -> bool:
        """Left or right; False leaves the key to the tree."""
        return False

    def end(self, bottom: bool) -> bool:
        """To the top or the bottom; False leaves the key to the tree."""
        return False

    def page_rows(self) -> int:
        """How many rows a page has."""
        return 1

    def node(self) -> str | None:
        """The candidate under the cursor, in a list of them."""
        return None

    def go_to(self, node: str) -> None:
        """Put the cursor on a candidate, in a list of them."""

    def turn(self, tabs: int) -> None:
        """Another tab, where there are tabs."""

    def order(self, direction: int) -> bool:
        """Another column to sort by; False for what is no table."""
        return False

    def reverse(self) -> None:
        """The other way round, where something is sorted."""


class LinesPane(ScrollView, Pane, can_focus=True, inherit_bindings=False):
    """A pane that draws lines itself and scrolls vertically."""

    ALLOW_MAXIMIZE = True

    def set_lines(self, count: int) -> None:
        """How many lines there are to scroll through."""
        size = Size(self.scrollable_content_region.width, count)
        if self.virtual_size != size:
            # An assignment would lay out the whole screen anew; here no more than a scroll bar comes or goes.
            self.set_reactive(Widget.virtual_size, size)
            self._scroll_update(size)

    def step(self, rows: int) -> bool:
        self.scroll_relative(y=rows, animate=False)
        return True

    def end(self, bottom: bool) -> bool:
        if bottom:
            self.scroll_end(animate=False)
        else:
            self.scroll_home(animate=False)
        return True

    def page_rows(self) -> int:
        return max(1, self.scrollable_content_region.height - 1)


class BoxPane(Vertical, Pane, can_focus=True, inherit_bindings=False):
    """A pane that holds other widgets."""

    ALLOW_MAXIMIZE = True
