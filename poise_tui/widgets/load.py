"""The machine over time: each GPU, else the processor's cores, memory, and which training uses what."""

from collections.abc import Iterator, Sequence

from textual.content import Content
from textual.events import Resize

from poise_tui.format import Glyphs, duration, number, share
from poise_tui.snapshot import ENDED, Gpu, Machine, Snapshot
from poise_tui.state import Shown
from poise_tui.widgets.text import TextView

LABEL = 14
FIGURE = 24
NAME = 24
FIGURES = 73
"""Columns of a table's row without the candidate's name."""
MUTED = "$foreground 60%"


class Load(TextView, can_focus=True):
    """Lines of history, the newest at the right; a sample every two seconds."""

    BORDER_TITLE = "5 machine"

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(id="load")
        self._glyphs = glyphs
        self._state = Shown()

    def show_state(self, shown: Shown) -> None:
        """Show another state of the run."""
        before, self._state = self._state.snapshot, shown
        if shown.snapshot.samples is not before.samples or shown.snapshot.candidates is not before.candidates:
            self._say()

    def on_resize(self, event: Resize) -> None:
        self._say()
        super().on_resize(event)

    def _say(self) -> None:
        width = self.scrollable_content_region.width
        if width:
            self.show(Content("\n").join(list(lines(self._state.snapshot, width, self._glyphs))))


def lines(snapshot: Snapshot, width: int, glyphs: Glyphs) -> Iterator[Content]:
    """What there is to say of the machine in so many columns."""
    machine = snapshot.machine
    if machine is None:
        yield Content("no sample of the machine yet: the engine takes one every two seconds")
        return
    ended = snapshot.run is not None and snapshot.run.shown in ENDED
    history = snapshot.samples[-max(8, width - LABEL - FIGURE) :]
    span = duration(history[-1].time - history[0].time)
    until = ", until the engine ended" if ended else ""
    yield Content.styled(f"the last {span}{until}; the newest is at the right", MUTED)
    for gpu in machine.gpus:
        yield from _gpu(gpu, history, glyphs)
    if not machine.gpus:
        yield Content("")
        yield Content.styled("Processor (there is no GPU)", "bold $primary")
        for core, percent in enumerate(machine.each_core[:64]):
            past = [m.each_core[core] if core < len(m.each_core) else None for m in history]
            yield _line(f"core {core}", past, 100.0, f"{percent:3.0f}%", glyphs)
    else:
        yield Content("")
        yield _line(
            "processor", [m.cpu for m in history], 100.0, f"{machine.cpu:3.0f}% of {machine.cores} cores", glyphs
        )
    told = share(machine.memory_used, machine.memory_total)
    yield _line("memory", [m.memory_used for m in history], machine.memory_total, told, glyphs)
    yield Content(f"{'engine':<{LABEL}}{machine.engine_memory:.0f} MiB")
    yield Content("")
    yield from _users(snapshot, machine, width)


def _gpu(gpu: Gpu, history: Sequence[Machine], glyphs: Glyphs) -> Iterator[Content]:
    past = [next((g for g in m.gpus if g.index == gpu.index), None) for m in history]
    yield Content("")
    yield Content.styled(f"GPU {gpu.index}  {gpu.name}", "bold $primary")
    yield _line("busy", [g.util if g else None for g in past], 100.0, f"{number(gpu.util, 0)}%", glyphs)
    if gpu.used is not None and gpu.total:
        yield _line("memory", [g.used if g else None for g in past], gpu.total, share(gpu.used, gpu.total), glyphs)
    if gpu.power is not None:
        powers = [g.power if g else None for g in past]
        most = max((p for p in powers if p is not None), default=gpu.power)
        yield _line("power", powers, most, f"{gpu.power:.0f} W", glyphs)
    if gpu.temperature is not None:
        yield _line(
            "temperature", [g.temperature if g else None for g in past], 100.0, f"{gpu.temperature:.0f} C", glyphs
        )


def _users(snapshot: Snapshot, machine: Machine, width: int) -> Iterator[Content]:
    """The engine's children, and how fast they train; a training's id has its candidate's, where there is no room."""
    named = NAME if width >= FIGURES + NAME else 0
    yield Content.styled("Who uses it", "bold $primary")
    head = f"{'candidate':<{named}}" if named else ""
    head = f"{'training':<24}{head}{'cpu':>6}{'memory':>12}{'update':>10}{'samples/s':>11}{'tokens/s':>10}"
    yield Content.styled(head, MUTED)
    trials = {t.id: (c, t) for c in snapshot.candidates.values() for t in c.trials}
    for process in machine.processes:
        row = f"{process.trial[:23]:<24}"
        candidate, trial = trials.get(process.trial, (None, None))
        if named:
            name = f"{candidate.id} {candidate.name}"[: named - 1] if candidate else ""
            row += f"{name:<{named}}"
        row += f"{process.cpu:>5.0f}%{process.memory:>8.0f} MiB"
        if trial is not None:
            rate, length = trial.curve.last("samples_per_second"), trial.curve.last("length")
            tokens = None if rate is None or length is None else rate * length
            row += f"{f'{trial.step}/{trial.steps}':>10}{number(rate):>11}{number(tokens, 0):>10}"
        yield Content(row)
    if not machine.processes:
        yield Content.styled("nothing trains or is scored", MUTED)


def _line(name: str, values: Sequence[float | None], most: float, told: str, glyphs: Glyphs) -> Content:
    marks = "".join(" " if value is None else glyphs.spark(value, most) for value in values)
    return Content.assemble(f"{name:<{LABEL}}", (marks, "$success"), f" {told}")
