"""The dashboard's own themes; styles/ uses their colours by name only."""

from textual.theme import Theme

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
)
