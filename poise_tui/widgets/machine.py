"""One line on the machine: GPUs where there are any, else CPU and memory, and that there is no GPU."""

import math

from textual.content import Content
from textual.widgets import Static

from poise_tui.format import Glyphs, share
from poise_tui.snapshot import ENDED, Gpu, Machine, Snapshot

BAR = 10


class MachineBar(Static):
    """The newest telemetry of the engine; dimmed once no engine samples any more."""

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id="machine")
        self._glyphs = glyphs
        self._shown: tuple[Machine | None, bool] | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Show another state of the run."""
        ended = snapshot.run is not None and snapshot.run.shown in ENDED
        if self._shown == (snapshot.machine, ended):
            return
        self._shown = (snapshot.machine, ended)
        self.set_class(ended, "-ended")
        if snapshot.machine is None:
            words = " machine: no sample yet" if not ended else " machine: never sampled"
            self.update(Content(words), layout=False)
        else:
            line = self._line(snapshot.machine)
            line = Content.assemble(line, (" (last sample)", "italic")) if ended else line
            self.update(line, layout=False)

    def _line(self, machine: Machine) -> Content:
        memory = machine.memory_used / max(1.0, machine.memory_total)
        parts = [Content.assemble(" GPU ", *self._gpu(gpu)) for gpu in machine.gpus[:4]]
        if not parts:
            parts = [Content.styled(" no GPU", "$warning")]
        parts += [
            Content.assemble("CPU ", self._bar(machine.cpu / 100), f" {machine.cpu:3.0f}%"),
            Content.assemble(
                "memory ",
                self._bar(memory, full=0.95),
                f" {share(machine.memory_used, machine.memory_total)}",
            ),
        ]
        return Content("  ").join(parts)

    def _gpu(self, gpu: Gpu) -> list[Content | str]:
        parts: list[Content | str] = [f"{gpu.index} "]
        if gpu.util is not None:
            parts += [self._bar(gpu.util / 100), f" {gpu.util:.0f}%"]
        if gpu.used is not None and gpu.total:
            style = "$error" if gpu.used > 0.95 * gpu.total else ""
            parts.append(Content.styled(f" {share(gpu.used, gpu.total)}", style))
        return parts

    def _bar(self, part: float, full: float = math.inf) -> Content:
        """A bar; from `full` on it warns. A busy processor is what one wants, full memory is not."""
        count = round(BAR * max(0.0, min(1.0, part)))
        style = "$error" if part > full else "$success"
        trough = Content.styled(self._glyphs.trough * (BAR - count), "$foreground 40%")
        return Content.styled(self._glyphs.bar * count, style) + trough
