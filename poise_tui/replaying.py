"""The application of `poise replay`: the dashboard on a run that is over, with a slider through its time."""

from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from engine.archive.folder import RunFolder
from poise_tui.alerts import Alert
from poise_tui.app import PoiseApp
from poise_tui.feed import Feed
from poise_tui.replay import ReplayFeed
from poise_tui.screens.base import View
from poise_tui.screens.keys import Key
from poise_tui.widgets.slider import Slider

STEPS = 50
"""Into how many parts a step goes through the whole replay."""

REPLAY_KEYS = (
    Key("replay-play", "space", "app.play", "go on, or stop", "Replay"),
    Key("replay-back", "comma", "app.step_time(-1)", "a fiftieth back", "Replay"),
    Key("replay-forward", "full_stop", "app.step_time(1)", "a fiftieth forward", "Replay"),
    Key("replay-slower", "less_than_sign", "app.faster(-1)", "slower", "Replay"),
    Key("replay-faster", "greater_than_sign", "app.faster(1)", "faster", "Replay"),
    Key("replay-start", "ctrl+a", "app.to_time(0)", "to the start", "Replay"),
    Key("replay-end", "ctrl+e", "app.to_time(1)", "to the end", "Replay"),
)
"""What works in a replay besides the usual keys; Space pauses no node there."""


class ReplayApp(PoiseApp):
    """Steers the time instead of the run."""

    # With priority, since Space means something else elsewhere; `check_action` leaves them to whoever types.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.help, show=False, id=key.id, priority=True) for key in REPLAY_KEYS
    ]

    def __init__(self, folder: RunFolder, *, speed: float, **options: Any) -> None:
        """
        Args:
            folder: the run.
            speed: times the speed of life, at first.
            options: see `PoiseApp`.
        """
        self._speed = speed
        self.feed = ReplayFeed(folder, speed)
        super().__init__(folder=folder, readonly=True, clock=lambda: self.feed.now(), extra=REPLAY_KEYS, **options)

    def make_feed(self, folder: RunFolder) -> Feed:
        """The replay of a run; of another one than before from its start."""
        if folder is not self.feed.folder:
            self.feed = ReplayFeed(folder, self._speed)
        return self.feed

    def alert(self, alert: Alert) -> None:
        """What happened long ago is no news."""

    def _words(self) -> str:
        """Nothing is waited for in a run that is over."""
        return ""

    def on_view_ready(self) -> None:
        """Every screen gets the slider when it first comes to the front."""
        if not self.view.query(Slider):
            self.view.mount(Slider(self.glyphs, lambda: self.feed), before="#hints")
        super().on_view_ready()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of the replay are for screens, not for prompts in which one types them."""
        if action in ("play", "step_time", "faster", "to_time") and not isinstance(self.screen, View):
            return False
        return super().check_action(action, parameters)

    def _slide(self) -> None:
        for slider in self.view.query(Slider):
            slider.say()

    def action_play(self) -> None:
        """Go on, or stop."""
        self.feed.play()
        self._slide()

    def action_step_time(self, steps: int) -> None:
        """Back or forward by parts of the whole."""
        place = self.feed.place
        self.feed.seek(place.at + steps * place.length / STEPS)
        self._slide()

    def action_to_time(self, part: float) -> None:
        """To a part of the whole: 0 is the start, 1 the end."""
        self.feed.seek(part * self.feed.place.length)
        self._slide()

    def action_faster(self, steps: int) -> None:
        """Faster or slower."""
        self.feed.faster(steps)
        self._slide()
