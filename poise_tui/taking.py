"""Verbs that take something away as files: pictures of the screen, curves, a candidate, the report."""

from collections.abc import Callable
from pathlib import Path

from textual import work

from engine.archive.folder import RunFolder
from engine.errors import PoiseError
from poise_tui.exports import KINDS, candidate_markdown, curves_csv, write_new
from poise_tui.format import one_line
from poise_tui.managing import Managing
from poise_tui.screens.dialogs import Question
from poise_tui.widgets.curves import Curves

KEYS = {"s": "svg", "t": "text", "c": "csv", "m": "markdown", "r": "report"}


class Taking(Managing):
    """Files are written into the folder from which the dashboard was started, never over another one."""

    def action_export(self, kind: str | None = None) -> None:
        """Take something away: what is named, else what is chosen."""
        if kind is not None:
            if kind not in KINDS:
                self.notify(f"there is no export {kind}: {', '.join(KINDS)}", severity="error", markup=False)
            else:
                self._take(kind)
            return

        def decide(answer: str | None) -> None:
            if answer:
                # Once the question is gone: it is not to be on the picture.
                self.call_after_refresh(self._take, KEYS[answer])

        answers = {key: f"{name}: {KINDS[name]}" for key, name in KEYS.items()}
        self.push_screen(Question(f"Write a file into {Path.cwd()}", answers), decide)

    def _take(self, kind: str) -> None:
        folder, candidate = self.shown.folder, self.candidate
        name = f"poise-{folder.id if folder else 'dashboard'}"
        match kind:
            case "svg":
                picture = self.export_screenshot(title=name)
                self._write(lambda: [write_new(Path.cwd(), f"{name}-{self.current_mode}", "svg", picture)])
            case "text":
                text = self.screen_text()
                self._write(lambda: [write_new(Path.cwd(), f"{name}-{self.current_mode}", "txt", text)])
            case "csv":
                charts = list(self.view.query(Curves))
                if not charts:
                    self.notify("there is no chart on this screen: 1 and 3 have one", severity="warning")
                    return
                series, metric = charts[0].series, charts[0].metric
                title = f"{name}-{metric.replace(' ', '-')}"
                self._write(lambda: [write_new(Path.cwd(), title, "csv", curves_csv(series, metric))])
            case "markdown" if folder is not None and candidate is not None:
                title = f"{name}-{candidate.id}"
                self._write(lambda: [write_new(Path.cwd(), title, "md", candidate_markdown(folder, candidate))])
            case "report" if folder is not None:
                self._write(lambda: _report(folder))
            case _:
                self.notify("there is no run yet", severity="warning")

    def screen_text(self) -> str:
        """What is on screen, line by line, without blanks at the ends."""
        strips = self.screen._compositor.render_strips(self.size)
        return "\n".join(strip.text.rstrip() for strip in strips) + "\n"

    @work(thread=True)
    def _write(self, make: Callable[[], list[Path]]) -> None:
        try:
            paths = make()
        except PoiseError as error:
            self.call_from_thread(self.notify, one_line(error), severity="error", markup=False)
        else:
            written = "\n".join(map(str, paths))
            self.call_from_thread(self.notify, written, title="written", markup=False)


def _report(folder: RunFolder) -> list[Path]:
    from engine.report.write import write_report

    taken = write_report(folder)
    return list(taken)
