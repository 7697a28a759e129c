"""Verbs that change the run: each is marked on screen at once, and confirmed by the engine's event."""

import os
import secrets
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from rich.text import Text
from textual import work
from textual.app import SuspendNotSupported

from engine.archive.folder import RunFolder
from engine.errors import PoiseError
from poise_tui.board import Board
from poise_tui.format import one_line
from poise_tui.run_files import read_code
from poise_tui.screens.dialogs import Question
from poise_tui.screens.prompt import Prompt
from poise_tui.snapshot import ENDED, Candidate
from poise_tui.state import Pending

AWAKE = ("running", "paused")


class Steering(Board):
    """Commands to the engine of the run on screen."""

    def command(self, command: str, node: str | None, **fields: Any) -> None:
        """Send a command to the run's engine, in a thread; until its event comes the node, or the run, is marked."""
        if self.shown.folder is not None:
            pending = Pending(secrets.token_hex(8), command, node)
            self.change(pending=(*self.shown.pending, pending))
            self._command(self.shown.folder, pending, fields)

    @work(thread=True)
    def _command(self, folder: RunFolder, pending: Pending, fields: dict[str, Any]) -> None:
        from poise_tui.client import Connection

        try:
            Connection(folder).send(pending.command, pending.node, id=pending.id, **fields)
        except PoiseError as error:
            self.call_from_thread(self.not_obeyed, pending, error)
        else:
            self.call_from_thread(self.obeyed, folder, pending)

    def obeyed(self, folder: RunFolder, pending: Pending) -> None:
        """The engine has accepted a command."""
        if pending.command == "stop":
            farewell = f"{folder.id} is stopping: `poise resume {folder.id}` takes it up again"
            self.exit(message=Text(farewell))
        else:
            target = pending.node or "the run"
            self.notify(f"{pending.command} {target}: accepted", timeout=2, markup=False)

    def not_obeyed(self, pending: Pending, error: PoiseError) -> None:
        """The engine has refused, or there is none: the mark goes."""
        self.change(pending=tuple(p for p in self.shown.pending if p.id != pending.id))
        title = f"{pending.command} {pending.node or 'the run'}"
        self.notify(one_line(error), severity="error", title=title, markup=False)

    def settle(self, steered: tuple[str, ...]) -> None:
        """Take the marks away of commands whose events have come."""
        if any(p.id in steered for p in self.shown.pending):
            self.change(pending=tuple(p for p in self.shown.pending if p.id not in steered))

    def ask(self, question: str, answers: dict[str, str], **then: Any) -> None:
        """Ask; `then` has what to call for each answer."""

        def decide(answer: str | None) -> None:
            if answer and answer in then:
                then[answer]()

        self.push_screen(Question(question, answers), decide)

    def target(self) -> Candidate | None:
        """The node to steer; None after saying why there is none."""
        if self.refused():
            return None
        candidate = self.candidate
        if candidate is None:
            self.notify("no node is selected", severity="warning")
        return candidate

    # -- nodes -------------------------------------------------------------------------------------------------

    def action_pause_node(self) -> None:
        """Pause the selected node, or resume it."""
        if (node := self.target()) is not None:
            self.command("resume" if node.status == "paused" else "pause", node.id)

    def action_prune(self) -> None:
        """Prune the branch of the selected node, after a yes."""
        if (node := self.target()) is None:
            return
        below = len(self.shown.snapshot.descendants(node.id))
        branch = f" and the {below} below it" if below else ""
        question = f"Prune {node.id} {node.name}{branch}?\nWhat trains there is stopped; `u` takes it back."
        self.ask(question, {"y": "prune"}, y=lambda: self.command("prune", node.id))

    def action_restore(self) -> None:
        """Take the pruning of the selected branch back."""
        if (node := self.target()) is not None:
            self.command("restore", node.id)

    def action_pin(self) -> None:
        """Pin the selected node, or unpin it."""
        if (node := self.target()) is not None:
            self.command("unpin" if node.pinned else "pin", node.id)

    def action_promote(self) -> None:
        """Let the selected node go on from the rung where it was stopped; asks before a whole training."""
        if (node := self.target()) is None:
            return
        run = self.shown.snapshot.run
        rungs = run.rungs if run is not None else ()
        if node.status != "stopped" or node.updates is None or rungs[-2:-1] != (node.updates,):
            self.command("promote", node.id)
            return
        question = f"Train {node.id} {node.name} to the end?\nIt stopped at update {node.updates} of {rungs[-1]}."
        self.ask(question, {"y": "train it"}, y=lambda: self.command("promote", node.id))

    def action_study(self, kind: str) -> None:
        """Confirm or ablate the selected node, once it is said what that takes."""
        if (node := self.target()) is not None and self.shown.folder is not None:
            self._plan_study(self.shown.folder, kind, node.id)

    @work(thread=True)
    def _plan_study(self, folder: RunFolder, kind: str, node: str) -> None:
        from poise_tui.commands.study import planned

        try:
            told = planned(folder, kind, node)
        except PoiseError as error:
            self.call_from_thread(self.not_obeyed, Pending("", kind, node), error)
            return
        verb = "Confirm" if kind == "confirm" else "Ablate"
        begin = lambda: self._begin_study(folder, kind, node)  # noqa: E731
        self.call_from_thread(self.ask, f"{verb} {told}?", {"y": "begin"}, y=begin)

    def _begin_study(self, folder: RunFolder, kind: str, node: str) -> None:
        run = self.shown.snapshot.run
        if run is not None and run.shown in ENDED:
            self.wake(folder, **{kind: node})  # an engine for this alone
        else:
            self.command(kind, node)

    # -- the run -----------------------------------------------------------------------------------------------

    def action_pause_run(self) -> None:
        """Pause the run, or resume it; of one without an engine, offer to start one."""
        run, folder = self.shown.snapshot.run, self.shown.folder
        if self.refused() or folder is None:
            return
        if run is not None and run.shown in ("dead", "stopped"):
            question = f"No engine runs {folder.id}: it is {run.shown}.\nStart one, as `poise resume {folder.id}` does?"
            self.ask(question, {"y": "start it"}, y=lambda: self.wake(folder))
        else:
            self.command("resume" if run is not None and run.status == "paused" else "pause", None)

    @work(thread=True)
    def wake(self, folder: RunFolder, **study: Any) -> None:
        """Start an engine for the run."""
        from poise_tui.client import resume_engine

        try:
            handle = resume_engine(folder.path.resolve(), **study)
        except PoiseError as error:
            self.call_from_thread(self.not_obeyed, Pending("", "resume", None), error)
        else:
            self.call_from_thread(self.notify, f"an engine runs {handle.run}", timeout=2, markup=False)

    def action_stop(self) -> None:
        """Stop the run, after a yes."""
        if not self.refused() and self.shown.folder is not None:
            name = self.shown.folder.id
            question = f"Stop {name}?\nWhat trains is checkpointed; `poise resume {name}` takes it up again."
            self.ask(question, {"y": "stop it"}, y=lambda: self.command("stop", None))

    def action_direct(self, text: str | None = None) -> None:
        """Tell the search what to look for."""
        if self.refused():
            return
        if text is not None:
            self.command("direct", None, text=text.strip())
            return
        run = self.shown.snapshot.run
        now = run.directive if run is not None else ""

        def decide(text: str | None) -> None:
            if text is not None and text.strip() != now:
                self.command("direct", None, text=text.strip())

        title = "What the next proposals are told; nothing takes it away. Up: what was said before."
        self.push_screen(Prompt("directive: ", now, history=self.history("direct"), title=title), decide)

    def action_inject(self) -> None:
        """Write an algorithm in $EDITOR, beginning with the selected one, and put it into the run."""
        if (node := self.target()) is None or (folder := self.shown.folder) is None:
            return
        before = read_code(folder, node.id) or ""
        handle, name = tempfile.mkstemp(prefix="poise-inject-", suffix=".py")
        file = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(before)
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        try:
            with self.suspend():
                ended = subprocess.run([*shlex.split(editor), name], check=False).returncode
            code = file.read_text(encoding="utf-8")
        except (OSError, ValueError, SuspendNotSupported) as error:
            self.notify(f"{editor}: {error}; set $EDITOR", severity="error", markup=False)
            return
        if ended or not code.strip() or code == before:
            file.unlink(missing_ok=True)
            self.notify("nothing was changed, nothing is injected", severity="warning")
            return
        lines = code.count("\n") + 1
        question = f"Inject {lines} lines as a child of the root?\nThey stay in {name}."
        self.ask(question, {"y": "inject"}, y=lambda: self.command("inject", None, code=code))
