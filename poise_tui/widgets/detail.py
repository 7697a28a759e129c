"""The detail pane: one candidate in five tabs, its files read when they are looked at."""

import asyncio

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from engine.archive.folder import RunFolder
from poise_tui.candidate_files import read_candidate_files
from poise_tui.snapshot import Candidate, Snapshot
from poise_tui.widgets import detail_text
from poise_tui.widgets.pane import BoxPane
from poise_tui.widgets.text import TextView

TABS = ("idea", "code", "scores", "samples", "reflection")
FIRST_DIGIT = 3
"""The digit of the first tab; the others follow."""

FROM_FILES = ("code", "samples")


class Detail(BoxPane):
    """Shows the selected candidate."""

    def __init__(self) -> None:
        super().__init__(id="detail")
        self._folder: RunFolder | None = None
        self._snapshot = Snapshot()
        self._candidate: Candidate | None = None
        self._tab = 0

    @property
    def tab(self) -> str:
        """The tab on show."""
        return TABS[self._tab]

    def compose(self) -> ComposeResult:
        yield Static(id="tabs")
        yield TextView(id="body")

    def on_mount(self) -> None:
        self._say_tabs()

    def show(self, snapshot: Snapshot, candidate: Candidate | None, folder: RunFolder | None) -> None:
        """Show a candidate; nothing happens if nothing of it changed."""
        before, self._candidate = self._candidate, candidate
        root_changed = snapshot.root is not self._snapshot.root
        self._snapshot, self._folder = snapshot, folder
        if candidate is None or (candidate is before and not (root_changed and self.tab == "scores")):
            return
        another = before is None or before.id != candidate.id
        if another:
            self.query_one(TextView).scroll_home(animate=False, immediate=True)
        if another or self.tab in FROM_FILES or before is None or before.packed != candidate.packed:
            self._load()

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
        self.open_tab(TABS[(self._tab + columns) % len(TABS)])
        return True

    def end(self, bottom: bool) -> bool:
        body = self.query_one(TextView)
        body.scroll_end(animate=False) if bottom else body.scroll_home(animate=False)
        return True

    def page_rows(self) -> int:
        return max(1, self.query_one(TextView).size.height - 1)

    def _say_tabs(self) -> None:
        parts = [
            Content.styled(f" {FIRST_DIGIT + i} {tab} ", "reverse bold" if i == self._tab else "$foreground 60%")
            for i, tab in enumerate(TABS)
        ]
        self.query_one("#tabs", Static).update(Content("").join(parts), layout=False)

    def _load(self) -> None:
        """Read and lay out in a thread; the newest wish wins."""
        if self._candidate is not None:
            self.run_worker(self._fill(self._candidate, self.tab), exclusive=True, group="detail")

    async def _fill(self, candidate: Candidate, tab: str) -> None:
        content = await asyncio.to_thread(self._content, candidate, tab)
        self.query_one(TextView).show(content)

    def _content(self, candidate: Candidate, tab: str) -> Content:
        if tab in FROM_FILES and self._folder is not None:
            trial = candidate.running_trial or candidate.main_trial
            files = read_candidate_files(self._folder, candidate.id, trial.id if trial else None)
            return detail_text.code(files) if tab == "code" else detail_text.samples(files)
        if tab == "idea":
            return detail_text.idea(candidate, self._snapshot)
        if tab == "scores":
            return detail_text.scores(candidate, self._snapshot)
        return detail_text.reflection(candidate)
