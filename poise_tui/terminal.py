"""What the user's terminal is told besides the picture: options of it, the clipboard, and notices from afar."""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass

from engine.untrusted import one_line

SCREEN_CHUNK = 700
"""GNU screen passes at most 768 bytes on at a time."""

THEME_NAMES = ("dark", "light", "safe", "ansi")
"""What `--theme` takes; `safe` is for colour-blind eyes, `ansi` has the terminal's own sixteen colours."""


@dataclass(frozen=True)
class TerminalOptions:
    """How the dashboard treats the terminal."""

    mouse: bool = True
    glyphs: str = "auto"
    """auto, braille, block or ascii."""
    theme: str = "dark"
    """A name of `THEME_NAMES`."""
    bell: bool = False
    """Ring when something happens that one waits for."""
    notices: bool = False
    """Tell the terminal too (OSC 9), which shows it on the desktop."""


def clipboard(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """What makes the terminal copy a text (OSC 52).

    Under tmux it is said twice: to tmux, which copies where `set-clipboard` is on, and through it, which needs
    `allow-passthrough`. To copy twice does no harm.
    """
    said = f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07"
    return said + through(said, environ) if environ.get("TMUX") else through(said, environ)


def notice(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """What makes the terminal show a notice on the desktop (OSC 9); nothing in the text can end it early."""
    return through(f"\x1b]9;{one_line(text, 200)}\x07", environ)


def through(sequence: str, environ: Mapping[str, str] = os.environ) -> str:
    """A sequence for the terminal outside, wrapped for the multiplexer in between, if there is one."""
    if environ.get("TMUX"):
        return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if environ.get("STY"):
        parts = [sequence[at : at + SCREEN_CHUNK] for at in range(0, len(sequence), SCREEN_CHUNK)]
        return "".join(f"\x1bP{part}\x1b\\" for part in parts)
    return sequence
