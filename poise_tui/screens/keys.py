"""Every verb of the dashboard, once: dispatch, help, hints, `:` commands, palette and remapping come from here."""

from collections.abc import Mapping
from dataclasses import dataclass

from textual.binding import Binding, BindingType
from textual.keys import format_key

Keymap = Mapping[str, str]
"""Keys, as Textual names them and separated by commas, by the verb's id: those that are not the usual ones."""

SCREENS = {
    "overview": ("1", "everything at a glance"),
    "tree": ("2", "the lineages, in full"),
    "curves": ("3", "the curves, in full"),
    "candidate": ("4", "one candidate, in full"),
    "machine": ("5", "GPUs, processor, memory, and who uses them"),
    "leaderboard": ("6", "all candidates as a table that sorts"),
    "knowledge": ("7,K", "what the run has learnt: what helps, what hurts"),
    "events": ("8", "the log, in full"),
    "runs": ("9", "all runs: start, open, compare, delete"),
}
"""The keys that lead to a screen, and what it is."""


@dataclass(frozen=True)
class Key:
    """One verb: what a key, a `:` command and a line of the palette do."""

    id: str
    """Its name in `:` commands and in the user's configuration; never changes."""
    keys: str
    """Names as Textual knows them, separated by commas."""
    action: str
    help: str
    section: str
    hint: str = ""
    """A word or two for the bottom line; none keeps it out of there."""
    steers: bool = False
    """Whether it changes the run: refused with --readonly."""
    argument: str = ""
    """What may follow it as a `:` command; the action gets the text then."""
    screens: tuple[str, ...] = ()
    """Where its hint is shown; everywhere if empty."""


KEYS = (
    Key("down", "down,j", "step(1)", "next node, or one line down", "Move"),
    Key("up", "up,k", "step(-1)", "previous node, or one line up", "Move"),
    Key("right", "right,l", "side(1)", "unfold the branch; crosshair or tab to the right", "Move"),
    Key("left", "left,h", "side(-1)", "fold the branch; crosshair or tab to the left", "Move"),
    Key("page-down", "pagedown,ctrl+d", "page(1)", "a page down", "Move"),
    Key("page-up", "pageup,ctrl+u", "page(-1)", "a page up", "Move"),
    Key("top", "g,home", "end(False)", "to the top", "Move"),
    Key("bottom", "G,end", "end(True)", "to the bottom", "Move"),
    Key("best", "b", "app.jump('best')", "to the best candidate", "Move"),
    Key("running", "r", "app.jump('running')", "to the next one that trains or is scored", "Move"),
    Key("failed", "f", "app.jump('failed')", "to the next one that failed", "Move"),
    Key("parent", "p", "app.jump('parent')", "to the parent", "Move"),
    *(Key(name, digit, f"app.go('{name}')", what, "Screens") for name, (digit, what) in SCREENS.items()),
    Key("open", "enter", "app.enter", "the selected candidate in full; in `runs`, open the run", "Screens", "open"),
    Key("back", "escape", "app.out", "back: out of the full pane, the filter, the screen", "Screens"),
    Key("next-pane", "tab", "pane(1)", "next pane", "Look"),
    Key("previous-pane", "shift+tab", "pane(-1)", "previous pane", "Look"),
    Key("zoom", "z", "full", "the pane you are in over the whole screen, and back", "Look"),
    Key("next-tab", "right_square_bracket", "tab(1)", "next tab of the candidate", "Look"),
    Key("previous-tab", "left_square_bracket", "tab(-1)", "previous tab of the candidate", "Look"),
    Key("filter", "slash", "app.filter", "filter: overall>=40 status:running mechanism:gspo -pruned", "Look", "filter",
        argument="QUERY"),
    Key("sort", "o", "app.sort(1)", "next order of siblings, or column to sort by", "Look"),
    Key("reverse", "O", "reverse", "the other way round (table, runs)", "Look"),
    Key("fold-dead", "d", "app.fold_dead", "fold or unfold lineages in which all has failed or ended", "Look"),
    Key("theme", "t", "app.theme", "next theme", "Look"),
    Key("metric", "m", "app.metric(1)", "next metric", "Curves", "metric", argument="NAME",
        screens=("overview", "curves")),
    Key("previous-metric", "M", "app.metric(-1)", "previous metric", "Curves"),
    Key("overlay", "v", "app.overlay", "keep the selected candidate's curve on the chart, or let it go", "Curves",
        "overlay", screens=("curves",)),
    Key("overlay-none", "V", "app.overlay_none", "let all curves go", "Curves"),
    Key("smooth", "s", "app.curves('smooth')", "smooth the curves, the raw ones behind", "Curves", "smooth",
        screens=("curves",)),
    Key("log-scale", "y", "app.curves('log')", "logarithmic scale, and back", "Curves", "log", screens=("curves",)),
    Key("tail", "w", "app.curves('tail')", "the last fifth of the updates, or the whole run", "Curves", "tail",
        screens=("curves",)),
    Key("zoom-in", "plus,equals_sign", "app.curves('in')", "nearer, around the crosshair", "Curves"),
    Key("zoom-out", "minus", "app.curves('out')", "farther", "Curves"),
    Key("bands", "B", "app.curves('bands')", "seeds as a band, or only the first seed", "Curves"),
    Key("pause", "space", "app.pause_node", "pause or resume the selected node", "Steer", "pause", True),
    Key("prune", "x", "app.prune", "prune the selected node's branch (asks)", "Steer", "prune", True),
    Key("restore", "u", "app.restore", "take the pruning of the branch back", "Steer", "", True),
    Key("promote", "n", "app.promote", "let a node that stopped at a rung go on to the next", "Steer", "", True),
    Key("pin", "asterisk", "app.pin", "pin the node: children come of it first; or unpin it", "Steer", "", True),
    Key("confirm", "c", "app.study('confirm')", "is it better than GRPO, on fresh seeds? (asks)", "Steer", "", True),
    Key("ablate", "a", "app.study('ablate')", "what does each of its mechanisms pay? (asks)", "Steer", "", True),
    Key("inject", "i", "app.inject", "put in an algorithm of your own, in $EDITOR", "Steer", "", True),
    Key("direct", "D", "app.direct", "tell the search what to look for", "Steer", "direct", True, argument="TEXT"),
    Key("pause-run", "P", "app.pause_run", "pause or resume the whole run", "Steer", "pause all", True),
    Key("stop", "S", "app.stop", "stop the run at a checkpoint (asks)", "Steer", "", True),
    Key("new-run", "N", "app.new_run", "start another run, with the options of `poise run`", "Runs", "new", True,
        argument="OPTIONS", screens=("runs",)),
    Key("compare", "C", "app.compare", "the run under the cursor beside the one that is open", "Runs", "compare",
        screens=("runs",)),
    Key("delete", "X", "app.delete", "delete the run under the cursor (asks for its name)", "Runs", "delete", True,
        screens=("runs",)),
    Key("export", "e", "app.export", "take away: picture, text, curve, candidate, report", "Leave", "export",
        argument="WHAT"),
    Key("command", "colon", "app.command", "a command by name", "Leave"),
    Key("palette", "ctrl+p", "app.palette", "look for a command", "Leave"),
    Key("help", "question_mark", "app.help", "this help", "Leave", "help"),
    Key("leave", "q,ctrl+c", "app.leave", "leave: the run goes on, or is stopped (asks)", "Leave", "leave"),
    Key("leave-now", "ctrl+q", "app.quit", "leave at once: the run goes on", "Leave"),
)  # fmt: skip

BY_ID = {key.id: key for key in KEYS}

BINDINGS: list[BindingType] = [Binding(key.keys, key.action, key.help, show=False, id=key.id) for key in KEYS]

_SHOWN = {"pagedown": "PgDn", "pageup": "PgUp", "escape": "Esc", "shift+tab": "Shift+Tab"}


def shown(key: Key, keymap: Keymap) -> str:
    """A verb's keys as one reads them: `down, j`."""
    return ", ".join(_one(name) for name in keymap.get(key.id, key.keys).split(","))


def _one(name: str) -> str:
    """A key as one reads it."""
    if name in _SHOWN:
        return _SHOWN[name]
    if name.startswith("ctrl+"):
        return "^" + name.removeprefix("ctrl+")
    if len(name) > 1 and name.isalpha() and name not in ("plus", "minus", "slash", "colon", "asterisk"):
        return name if name in ("down", "up", "left", "right") else name.capitalize()
    return name.upper() if name[0] == "f" and name[1:].isdecimal() else format_key(name)


def same_as(*ids: str, action: str = "") -> list[BindingType]:
    """Bindings of a dialog to the keys of these verbs, remapped ones included."""
    return [Binding(BY_ID[id].keys, action or BY_ID[id].action, show=False, id=id) for id in ids]
