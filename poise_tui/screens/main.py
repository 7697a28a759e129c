"""The dashboard's one screen: panes, and what the keys do to them."""

from collections.abc import Callable

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from engine.archive.folder import RunFolder
from poise_tui.format import Glyphs
from poise_tui.screens import keys
from poise_tui.screens.dialogs import Help, Question
from poise_tui.screens.knowledge import KnowledgePage
from poise_tui.snapshot import ENDED, Candidate, Snapshot
from poise_tui.widgets.curves import Curves
from poise_tui.widgets.detail import TABS, Detail
from poise_tui.widgets.header import Header
from poise_tui.widgets.lineage import Lineage
from poise_tui.widgets.log import Log
from poise_tui.widgets.machine import MachineBar
from poise_tui.widgets.pane import Pane

PANES = ("lineage", "curves", "detail", "log")
Send = Callable[[str, str | None], None]


class Dashboard(Screen[None]):
    """Shows snapshots; sends commands through what it was given, and knows nothing else of the engine."""

    BINDINGS = keys.BINDINGS
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012
    AUTO_FOCUS = "#lineage"

    class Ready(Message):
        """The panes are there and can be shown something."""

    def __init__(self, glyphs: Glyphs, clock: Callable[[], float], send: Send, *, readonly: bool) -> None:
        """
        Args:
            glyphs: what to draw with.
            clock: unix time.
            send: takes a command and a node, and returns at once.
            readonly: refuse every key that changes the run.
        """
        super().__init__()
        self._glyphs, self._clock, self._send, self._readonly = glyphs, clock, send, readonly
        self._snapshot = Snapshot()
        self._folder: RunFolder | None = None
        self._words = ""

    def compose(self) -> ComposeResult:
        yield Header(self._glyphs, self._clock, readonly=self._readonly)
        with Horizontal(id="middle"):
            yield Lineage(self._glyphs)
            with Vertical(id="right"):
                yield Curves(self._glyphs)
                yield Detail()
        yield Log(self._glyphs)
        yield MachineBar(self._glyphs)
        yield Static(self._hints(), id="hints")

    def on_mount(self) -> None:
        self.add_class("-front-curves")
        self.call_after_refresh(self.post_message, self.Ready())

    def show(self, snapshot: Snapshot, folder: RunFolder | None, words: str) -> None:
        """Show a state of the run.

        Args:
            folder: where the details lie.
            words: what goes on while there is nothing to draw yet.
        """
        self._snapshot, self._folder, self._words = snapshot, folder, words
        with self.app.batch_update():
            self.query_one(Header).show(snapshot)
            self.query_one(Lineage).show(snapshot)
            self.query_one(Log).show(snapshot.log)
            self.query_one(MachineBar).show(snapshot)
            self._show_selected()

    def on_lineage_selected(self, _: Lineage.Selected) -> None:
        """The cursor moved."""
        with self.app.batch_update():
            self._show_selected()

    def _show_selected(self) -> None:
        selected = self.query_one(Lineage).selected
        self.query_one(Curves).show(self._snapshot, selected, self._words)
        self.query_one(Detail).show(self._snapshot, selected, self._folder)

    def _hints(self) -> Content:
        shown = [key for key in keys.KEYS if key.hint and not (key.steers and self._readonly)]
        parts = [Content.assemble((f" {k.shown.split(',')[0]}", "bold $accent"), f" {k.hint}") for k in shown]
        return Content(" ").join(parts)

    # -- looking -----------------------------------------------------------------------------------------------

    def _pane(self) -> Pane:
        focused = self.focused
        return focused if isinstance(focused, Pane) else self.query_one(Lineage)

    def action_step(self, rows: int) -> None:
        """Up or down in the pane with the focus."""
        if not self._pane().step(rows):
            self.query_one(Lineage).step(rows)

    def action_side(self, columns: int) -> None:
        """Left or right in the pane with the focus."""
        if not self._pane().side(columns):
            self.query_one(Lineage).side(columns)

    def action_page(self, pages: int) -> None:
        """A page up or down in the pane with the focus."""
        pane = self._pane()
        if not pane.step(pages * pane.page_rows()):
            lineage = self.query_one(Lineage)
            lineage.step(pages * lineage.page_rows())

    def action_end(self, bottom: bool) -> None:
        """To the top or the bottom of the pane with the focus."""
        if not self._pane().end(bottom):
            self.query_one(Lineage).end(bottom)

    def action_pane(self, direction: int) -> None:
        """The next pane."""
        focused = self.focused
        place = PANES.index(focused.id) if focused is not None and focused.id in PANES else 0
        self.action_open(PANES[(place + direction) % len(PANES)])

    def action_open(self, name: str) -> None:
        """A pane, or a tab of the detail pane."""
        if name in TABS:
            self.query_one(Detail).open_tab(name)
            name = "detail"
        pane = self.query_one(f"#{name}", Widget)
        if self.maximized is not None and self.maximized is not pane:
            self.maximize(pane)
        if name in ("curves", "detail"):  # where there is room for one of them only
            self.set_class(name == "curves", "-front-curves")
            self.set_class(name == "detail", "-front-detail")
        pane.focus()

    def action_full(self) -> None:
        """The pane with the focus over the whole screen; from the tree, the details."""
        if self.maximized is not None:
            self.action_back()
            return
        name = self.focused.id if self.focused is not None else None
        name = name if name in ("curves", "detail", "log") else "detail"
        self.action_open(name)
        self.maximize(self.query_one(f"#{name}", Widget))

    def action_back(self) -> None:
        """Out of the full screen, and back to the tree."""
        if self.maximized is not None:
            self.minimize()
        self.query_one(Lineage).focus()

    def action_metric(self) -> None:
        """The next metric."""
        self.query_one(Curves).side(1)

    def action_theme(self) -> None:
        """The next theme."""
        names = sorted(name for name in self.app.available_themes if name.startswith("poise-"))
        self.app.theme = names[(names.index(self.app.theme) + 1) % len(names)]

    def action_knowledge(self) -> None:
        """What the run has learnt."""
        if self._folder is None:
            self.notify("the engine is still starting", severity="warning")
        else:
            self.app.push_screen(KnowledgePage(self._folder))

    def action_help(self) -> None:
        """All keys."""
        self.app.push_screen(Help())

    # -- steering ----------------------------------------------------------------------------------------------

    def _selected(self) -> Candidate | None:
        """The node to steer; None after saying why there is none."""
        if self._refused():
            return None
        selected = self.query_one(Lineage).selected
        if selected is None:
            self.notify("no node is selected", severity="warning")
        return selected

    def _refused(self) -> bool:
        if self._readonly:
            self.notify("read-only: start `poise attach` without --readonly to steer", severity="warning")
        elif self._folder is None:
            self.notify("the engine is still starting", severity="warning")
        return self._readonly or self._folder is None

    def action_pause_node(self) -> None:
        """Pause the selected node, or resume it."""
        if (node := self._selected()) is not None:
            self._send("resume" if node.status == "paused" else "pause", node.id)

    def action_prune(self) -> None:
        """Prune the branch of the selected node, after a yes."""
        if (node := self._selected()) is None:
            return
        below = len(self._snapshot.descendants(node.id))
        branch = f" and the {below} below it" if below else ""

        def decide(answer: str | None) -> None:
            if answer == "y":
                self._send("prune", node.id)

        question = f"Prune {node.id} {node.name}{branch}?\nWhat trains there is stopped; `u` takes it back."
        self.app.push_screen(Question(question, {"y": "prune"}), decide)

    def action_restore(self) -> None:
        """Take the pruning of the selected branch back."""
        if (node := self._selected()) is not None:
            self._send("restore", node.id)

    def action_promote(self) -> None:
        """Let the selected node go on from the rung where it was stopped; asks before a whole training."""
        if (node := self._selected()) is None:
            return
        rungs = self._snapshot.run.rungs if self._snapshot.run is not None else ()
        if node.status != "stopped" or node.updates is None or rungs[-2:-1] != (node.updates,):
            self._send("promote", node.id)
            return

        def decide(answer: str | None) -> None:
            if answer == "y":
                self._send("promote", node.id)

        question = f"Train {node.id} {node.name} to the end?\nIt stopped at update {node.updates} of {rungs[-1]}."
        self.app.push_screen(Question(question, {"y": "train it"}), decide)

    def action_pause_run(self) -> None:
        """Pause the run, or resume it."""
        if not self._refused():
            paused = self._snapshot.run is not None and self._snapshot.run.status == "paused"
            self._send("resume" if paused else "pause", None)

    def action_leave(self) -> None:
        """Leave at once where nothing goes on; else ask what becomes of the run."""
        run, folder = self._snapshot.run, self._folder
        if self._readonly or (run is not None and run.shown in ENDED):
            self.app.exit()
            return
        name = folder.id if folder else ""

        def decide(answer: str | None) -> None:
            if answer == "d":
                self.app.exit(message=Text(f"the run goes on: `poise attach {name}".rstrip() + "` shows it again"))
            elif answer == "s":
                self._send("stop", None)

        answers = {"d": "leave it running"}
        if folder is not None:
            answers["s"] = "stop it (`poise resume` takes it up again)"
        state = "The engine is still starting." if run is None else f"{name} is {run.shown}."
        self.app.push_screen(Question(state, answers), decide)
