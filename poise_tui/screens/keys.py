"""Every key of the dashboard, once: what binds them and what the help says."""

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True)
class Key:
    """One thing a key does."""

    keys: str
    """Names as Textual knows them, separated by commas."""
    shown: str
    """The same as one reads them."""
    action: str
    help: str
    section: str
    hint: str = ""
    """A word or two for the bottom line; none keeps it out of there."""
    steers: bool = False
    """Whether it changes the run: refused with --readonly."""


KEYS = (
    Key("down,j", "down, j", "step(1)", "next node, or one line down", "Move"),
    Key("up,k", "up, k", "step(-1)", "previous node, or one line up", "Move"),
    Key("right,l", "right, l", "side(1)", "unfold the branch; next tab or metric", "Move"),
    Key("left,h", "left, h", "side(-1)", "fold the branch; previous tab or metric", "Move"),
    Key("pagedown,ctrl+d", "PgDn, ^d", "page(1)", "a page down", "Move"),
    Key("pageup,ctrl+u", "PgUp, ^u", "page(-1)", "a page up", "Move"),
    Key("g,home", "g, Home", "end(False)", "to the top", "Move"),
    Key("G,end", "G, End", "end(True)", "to the bottom", "Move"),
    Key("tab", "Tab", "pane(1)", "next pane", "Look"),
    Key("shift+tab", "Shift+Tab", "pane(-1)", "previous pane", "Look"),
    Key("1", "1", "open('lineage')", "the candidates", "Look"),
    Key("2", "2", "open('curves')", "the curves", "Look"),
    Key("3", "3", "open('idea')", "hypothesis, mechanisms, cause, decision", "Look"),
    Key("4", "4", "open('code')", "the algorithm's code", "Look"),
    Key("5", "5", "open('scores')", "scores of every task beside the root's", "Look"),
    Key("6", "6", "open('samples')", "completions and what they earned", "Look"),
    Key("7", "7", "open('reflection')", "what was learned", "Look"),
    Key("8", "8", "open('log')", "the log", "Look"),
    Key("K", "K", "knowledge", "what the run has learnt: what helps, what hurts", "Look"),
    Key("enter", "Enter", "full", "full screen: the details, or the pane you are in", "Look", "details"),
    Key("escape", "Esc", "back", "back", "Look"),
    Key("m", "m", "metric", "next metric of the curves", "Look", "metric"),
    Key("t", "t", "theme", "next theme", "Look"),
    Key("space", "Space", "pause_node", "pause or resume the selected node", "Steer", "pause", True),
    Key("x", "x", "prune", "prune the selected node's branch (asks)", "Steer", "prune", True),
    Key("u", "u", "restore", "take the pruning of the branch back", "Steer", "", True),
    Key("n", "n", "promote", "let a node that stopped at a rung go on to the next", "Steer", "", True),
    Key("P", "P", "pause_run", "pause or resume the whole run", "Steer", "pause all", True),
    Key("question_mark", "?", "help", "this help", "Leave", "help"),
    Key("q,ctrl+c", "q, ^c", "leave", "leave: the run goes on, or is stopped (asks)", "Leave", "leave"),
    Key("ctrl+q", "^q", "app.quit", "leave at once: the run goes on", "Leave"),
)

BINDINGS: list[BindingType] = [Binding(key.keys, key.action, key.help, show=False) for key in KEYS]


def steering_actions() -> frozenset[str]:
    """Actions that change the run."""
    return frozenset(key.action for key in KEYS if key.steers)
