"""Verbs of the runs: open one, start one, compare two, delete one with care."""

import shlex
from pathlib import Path

import click
from textual import work
from textual.content import Content

from engine.archive.folder import RunFolder
from engine.errors import PoiseError
from poise_tui.choosing import Choosing
from poise_tui.format import one_line
from poise_tui.run_list import RunRow, delete_run
from poise_tui.screens.page import Page
from poise_tui.screens.prompt import Prompt
from poise_tui.widgets.runs import Runs


class Managing(Choosing):
    """What is done to runs as a whole."""

    def look_at(self, folder: RunFolder) -> None:
        """Follow this run, in place of any other."""
        raise NotImplementedError

    def _run_row(self) -> RunRow | None:
        """The run under the cursor; None after saying where there is one."""
        found = self.view.query(Runs)
        row = found.first().selected if found else None
        if row is None:
            self.notify("choose a run first, on the screen `runs`", severity="warning")
        return row

    def action_enter(self) -> None:
        """In the list of runs, open one; else the selected candidate in full."""
        if not self.view.query(Runs):
            super().action_enter()
        elif (row := self._run_row()) is not None:
            self.look_at(row.folder)
            self.action_go("overview")

    def action_new_run(self, text: str | None = None) -> None:
        """Start a run with the options of `poise run`, and open it."""
        if self.readonly:
            self.refused()
        elif text is not None:
            self._new_run(text)
        else:
            title = "Options as for `poise run`, such as --candidates 8 --seed 3; the run on screen goes on."

            def decide(text: str | None) -> None:
                if text is not None:
                    self._new_run(text)

            self.push_screen(Prompt("poise run ", history=self.history("new run"), title=title), decide)

    @work(thread=True)
    def _new_run(self, text: str) -> None:
        from poise_tui.client import start_engine

        here = self.shown.folder.path.parent if self.shown.folder is not None else None
        try:
            handle = start_engine(run_request(text, here))
        except PoiseError as error:
            self.call_from_thread(self.notify, one_line(error), severity="error", markup=False)
        else:
            self.call_from_thread(self.look_at, RunFolder(handle.folder))
            self.call_from_thread(self.action_go, "overview")

    def action_compare(self) -> None:
        """The run under the cursor beside the open one."""
        row, here = self._run_row(), self.shown.folder
        if row is not None and here is not None:
            if row.folder.path.resolve() == here.path.resolve():
                self.notify("that is the run that is open: choose another one", severity="warning")
            else:
                self._compare(here, row.folder)

    @work(thread=True)
    def _compare(self, one: RunFolder, other: RunFolder) -> None:
        from engine.report.compare import compare_lines
        from engine.report.story import read_story

        try:
            text = "\n".join(map(one_line_of_table, compare_lines(read_story(one), read_story(other))))
        except PoiseError as error:
            self.call_from_thread(self.notify, one_line(error), severity="error", markup=False)
        else:
            self.call_from_thread(self.push_screen, Page(f"{one.id} and {other.id}", Content(text)))

    def action_delete(self) -> None:
        """Delete the run under the cursor, once its name was typed."""
        if self.refused() or (row := self._run_row()) is None or (here := self.shown.folder) is None:
            return
        name = row.folder.id
        if row.folder.path.resolve() == here.path.resolve():
            self.notify(f"{name} is open: open another run first", severity="warning", markup=False)
            return

        def decide(text: str | None) -> None:
            if text is not None and text.strip() == name:
                self._delete(row.folder)
            elif text is not None:
                self.notify(f"that is not its name: {name} stays", severity="warning", markup=False)

        title = f"Delete {name} with its {row.nodes} nodes, trainings and adapters for good? Type its name."
        self.push_screen(Prompt("name: ", title=title), decide)

    @work(thread=True)
    def _delete(self, folder: RunFolder) -> None:
        try:
            delete_run(folder)
        except PoiseError as error:
            self.call_from_thread(self.notify, one_line(error), severity="error", markup=False)
        else:
            self.call_from_thread(self.notify, f"{folder.id} is deleted", timeout=2, markup=False)
        self.call_from_thread(self._ask_again)

    def _ask_again(self) -> None:
        for runs in self.view.query(Runs):
            runs.ask()


def run_request(text: str, runs_dir: Path | None) -> dict[str, object]:
    """A request to an engine from the options of `poise run`.

    Args:
        runs_dir: where the run goes unless the options say.

    Raises:
        PoiseError: what `poise run` would say.
    """
    from engine.archive.folder import default_runs_dir
    from engine.errors import Exit
    from poise_tui.commands.common import TERMINAL_OPTIONS
    from poise_tui.commands.run import make_request, run_command

    try:
        options = dict(run_command.make_context("poise run", shlex.split(text)).params)
    except ValueError as error:
        raise PoiseError(f"{one_line(text)}: {error}", Exit.USAGE) from None
    except click.ClickException as error:
        raise PoiseError(error.format_message(), Exit.USAGE) from None
    except click.exceptions.Exit:
        raise PoiseError("options are meant here, such as --candidates 8", Exit.USAGE) from None
    for option in ("headless", "log_to", *TERMINAL_OPTIONS):
        options.pop(option)
    chosen = options.pop("runs_dir")
    return make_request(default_runs_dir(chosen) if chosen or runs_dir is None else runs_dir, **options)


def one_line_of_table(line: str) -> str:
    """A line made harmless whose blanks stay."""
    return "".join(c if c.isprintable() else " " for c in line)
