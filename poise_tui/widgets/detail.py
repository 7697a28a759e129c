"""The detail pane: one candidate in several tabs, its files read by the application when they are looked at."""

from collections.abc import Callable
from functools import partial
from typing import Any

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from engine.archive.folder import RunFolder
from poise_tui import run_files
from poise_tui.snapshot import Candidate
from poise_tui.state import Shown
from poise_tui.widgets import detail_text, exchange_text
from poise_tui.widgets.pane import BoxPane, Wanted
from poise_tui.widgets.text import TextView

TABS = ("idea", "code", "diff", "scores", "samples", "reflection", "model", "log")
FROM_FILES = ("code", "diff", "samples", "model", "log")


class Detail(BoxPane):
    """Shows the selected candidate."""

    def __init__(self) -> None:
        super().__init__(id="detail")
        self._state = Shown()
        self._candidate: Candidate | None = None
        self._tab = 0

    @property
    def tab(self) -> str:
        """The tab on show."""
        return TABS[self._tab]

    def compose(self) -> ComposeResult:
        yield Static(id="tabs")
        yield TextView(id="body")

    BORDER_TITLE = "4 candidate"

    def on_mount(self) -> None:
        self._say_tabs()

    def on_resize(self) -> None:
        self._say_tabs()

    def show(self, shown: Shown) -> None:
        """Show the selected candidate; nothing happens if nothing of it changed."""
        before, self._candidate = self._candidate, shown.candidate
        candidate = self._candidate
        root_changed = shown.snapshot.root is not self._state.snapshot.root
        self._state = shown
        if candidate is None or (candidate is before and not (root_changed and self.tab == "scores")):
            return
        another = before is None or before.id != candidate.id
        if another:
            self.query_one(TextView).scroll_home(animate=False, immediate=True)
        if another or self.tab in FROM_FILES or before is None or before.packed != candidate.packed:
            self._load()

    def turn(self, tabs: int) -> None:
        self.open_tab(TABS[(self._tab + tabs) % len(TABS)])

    def open_tab(self, tab: str) -> None:
        """Switch to a tab by name."""
        if tab != self.tab:
            self._tab = TABS.index(tab)
            self._say_tabs()
            self.query_one(TextView).scroll_home(animate=False, immediate=True)
            self._load()

    def step(self, rows: int) -> bool:
        self.query_one(TextView).scroll_relative(y=rows, animate=False)
        return True

    def side(self, columns: int) -> bool:
        """The next or previous tab."""
        self.turn(columns)
        return True

    def end(self, bottom: bool) -> bool:
        body = self.query_one(TextView)
        body.scroll_end(animate=False) if bottom else body.scroll_home(animate=False)
        return True

    def page_rows(self) -> int:
        return max(1, self.query_one(TextView).size.height - 1)

    def _say_tabs(self) -> None:
        parts = [
            Content.styled(f" {tab} ", "reverse bold" if i == self._tab else "$foreground 60%")
            for i, tab in enumerate(TABS)
        ]
        # From the left, so that the one on show is always there.
        before = parts[: self._tab + 1]
        while len(before) > 1 and self.size.width and sum(part.cell_length for part in before) > self.size.width:
            del before[0]
        parts = before + parts[self._tab + 1 :]
        self.query_one("#tabs", Static).update(Content("").join(parts), layout=False)

    def _load(self) -> None:
        """Lay out what is known, or ask for what lies in files."""
        candidate, state = self._candidate, self._state
        if candidate is None:
            return
        # In a thread even where no file is read: laying out a long text takes a while.
        self.post_message(Wanted(self, f"detail {self.screen.name}", self._reader(candidate, state), self._fill))

    def _reader(self, candidate: Candidate, state: Shown) -> Callable[[RunFolder], Any]:
        trial = candidate.running_trial or candidate.main_trial
        found = trial.id if trial else None
        match self.tab:
            case "code":
                return lambda folder: detail_text.code(run_files.read_code(folder, candidate.id))
            case "diff":
                return partial(_diff, candidate)
            case "samples":
                return lambda folder: detail_text.samples(run_files.read_samples(folder, found))
            case "model":
                seed = state.snapshot.run.seed if state.snapshot.run else None
                return lambda folder: exchange_text.exchange(run_files.read_exchange(folder, candidate.id, seed))
            case "log":
                return lambda folder: exchange_text.log(found, run_files.read_log(folder, found))
            case "scores":
                return lambda _: detail_text.scores(candidate, state.snapshot)
            case "reflection":
                return lambda _: detail_text.reflection(candidate)
            case _:
                return lambda _: detail_text.idea(candidate, state.snapshot)

    def _fill(self, content: Content) -> None:
        self.query_one(TextView).show(content)


def _diff(candidate: Candidate, folder: RunFolder) -> Content:
    parent = candidate.parent
    before = run_files.read_code(folder, parent) if parent else None
    return exchange_text.diff(candidate.id, run_files.read_code(folder, candidate.id), parent, before)
