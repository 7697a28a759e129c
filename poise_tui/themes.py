"""The dashboard's own themes; styles/ uses their colours by name only."""

from dataclasses import replace

from textual.theme import BUILTIN_THEMES, Theme

from poise_tui.terminal import THEME_NAMES

THEMES = (
    Theme(
        name="poise-dark",
        primary="#7aa2f7",
        secondary="#9a86e0",
        accent="#e0af68",
        success="#73c98f",
        warning="#e0af68",
        error="#f7768e",
        foreground="#c8d0e0",
        background="#12141c",
        surface="#161925",
        panel="#1f2335",
        boost="#1f2335",
        dark=True,
        variables={"border": "#3b4261", "border-blurred": "#2a2f45"},
    ),
    Theme(
        name="poise-light",
        primary="#2257b8",
        secondary="#6b4fb3",
        accent="#8a5a00",
        success="#1d7a3e",
        warning="#8a5a00",
        error="#b3261e",
        foreground="#1d2330",
        background="#fafafa",
        surface="#f2f3f7",
        panel="#e4e6ee",
        boost="#e4e6ee",
        dark=False,
        variables={"border": "#9aa3b8", "border-blurred": "#c8cdd9"},
    ),
    # Told apart by colour-blind eyes: blue for good, orange for bad (after Okabe and Ito).
    Theme(
        name="poise-safe",
        primary="#56b4e9",
        secondary="#cc79a7",
        accent="#f0e442",
        success="#56b4e9",
        warning="#f0e442",
        error="#e69f00",
        foreground="#d6dae4",
        background="#10121a",
        surface="#161925",
        panel="#1f2335",
        boost="#1f2335",
        dark=True,
        variables={"border": "#3b4261", "border-blurred": "#2a2f45"},
    ),
    # The terminal's own sixteen colours and its own ground, whatever the user has made of them.
    replace(
        BUILTIN_THEMES["ansi-dark"],
        name="poise-ansi",
        accent="ansi_magenta",
        variables={**BUILTIN_THEMES["ansi-dark"].variables, "border": "ansi_bright_black"},
    ),
)

NAMES = {name: f"poise-{name}" for name in THEME_NAMES}
"""Themes as users name them."""
