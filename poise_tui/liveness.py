"""How a run is, told with its age: nothing on screen looks newer than it is."""

from poise_tui.format import age
from poise_tui.snapshot import ENDED, Run

STYLE = {
    "running": "$success",
    "paused": "$warning",
    "finished": "$primary",
    "stopped": "$warning",
    "dead": "bold $error",
    "gone": "bold $error",
}
PRESUMED_DEAD = 600.0
"""Seconds of silence after which nobody should wait for an engine any more, though its process may be there."""
NO_NEWS = 15.0
"""Seconds without an event that are worth a word; a training reports every second or so."""


def state(run: Run, now: float) -> tuple[str, str]:
    """How the run is, in a few words, and the style of them.

    Args:
        run: with what is known of its engine.
        now: unix time.
    """
    if run.shown in ENDED:
        return f"{run.shown} {age(now - run.last_event)} ago", STYLE[run.shown]
    if run.shown == "gone":
        return "its folder is out of reach", STYLE["gone"]
    if run.silent_since is not None:
        silence = now - run.silent_since
        if silence >= PRESUMED_DEAD:
            return f"presumed dead: silent for {age(silence)}", "bold $error"
        return f"engine silent for {age(silence)}", "bold $warning"
    return run.shown, STYLE.get(run.shown, "")


def stale(run: Run, now: float) -> str | None:
    """How old the newest event is, where a live run should have told more by now."""
    if run.shown != "running" or run.silent_since is not None or (silence := now - run.last_event) < NO_NEWS:
        return None
    return f"no news for {age(silence)}"
