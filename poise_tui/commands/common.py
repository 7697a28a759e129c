"""What several commands share."""

import math
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from poise_tui.completing import complete_run
from poise_tui.terminal import THEME_NAMES, TerminalOptions

WEB_DRIVER = "web_driver"
"""Of textual, in the environment where `poise serve` has started us."""

F = TypeVar("F", bound=Callable[..., Any])


class Amount(click.FloatRange):
    """A finite number above 0: hours, dollars."""

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """What the user typed, as a number."""
        amount = super().convert(value, param, ctx)
        if not math.isfinite(amount):
            self.fail(f"{value} is no amount", param, ctx)
        return amount


runs_dir_option: Callable[[F], F] = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where runs live.  [default: see `poise --help`]",
)

weak_sandbox_option: Callable[[F], F] = click.option(
    "--allow-weak-sandbox", is_flag=True, help="Run candidate code although layers of the sandbox are missing."
)

run_argument: Callable[[F], F] = click.argument("run", required=False, metavar="[RUN]", shell_complete=complete_run)


TERMINAL_OPTIONS = ("no_mouse", "glyphs", "theme", "bell", "notices")


def terminal_options(command: F) -> F:
    """Options of a command that opens the dashboard; it gets them as `terminal`, a `TerminalOptions`."""

    @wraps(command)
    def wrapped(*args: Any, no_mouse: bool, glyphs: str, theme: str, bell: bool, notices: bool, **options: Any) -> Any:
        terminal = TerminalOptions(not no_mouse, glyphs, theme, bell, notices)
        return command(*args, terminal=terminal, **options)

    glyphs = click.Choice(("auto", "braille", "block", "ascii"))
    themes = click.Choice(THEME_NAMES)
    for option in (
        click.option("--notices", is_flag=True, help="The same as a notice on the desktop (OSC 9)."),
        click.option("--bell", is_flag=True, help="Ring for a new best, a failure, a budget, an end."),
        click.option("--theme", type=themes, envvar="POISE_THEME", default="dark", show_default=True, help="Colours."),
        click.option("--glyphs", type=glyphs, default="auto", show_default=True, help="What to draw with."),
        click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal."),
    ):
        wrapped = option(wrapped)
    return cast(F, wrapped)


def absolute_profile(profile: str) -> str:
    """What an engine that stands elsewhere understands: a shipped name, or a whole path."""
    from engine.profiles.schema import known_profiles  # brings pydantic, which `attach` can do without

    return profile if profile in known_profiles() else str(Path(profile).expanduser().resolve())


def on_terminal() -> bool:
    """Whether a dashboard can be shown: somebody sees our output and can type, in a terminal or in a browser."""
    return WEB_DRIVER in os.environ.get("TEXTUAL_DRIVER", "") or (sys.stdin.isatty() and sys.stdout.isatty())
