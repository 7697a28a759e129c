"""What every screen is shown: the run as it is, and what the user has chosen; immutable."""

from dataclasses import dataclass, field

from engine.archive.folder import RunFolder
from poise_tui.query import ALL, Query
from poise_tui.snapshot import Candidate, Snapshot


@dataclass(frozen=True)
class Pending:
    """A command on its way: sent, and not yet seen among the run's events."""

    id: str
    command: str
    node: str | None


@dataclass(frozen=True)
class Shown:
    """One moment of the dashboard."""

    snapshot: Snapshot = field(default_factory=Snapshot)
    folder: RunFolder | None = None
    words: str = ""
    """What goes on while there is nothing to draw yet."""
    selected: str | None = None
    """The candidate that all screens speak of."""
    query: Query = ALL
    order: str = "age"
    folded_dead: bool = False
    overlaid: tuple[str, ...] = ()
    """Candidates whose curves stay on the chart."""
    pending: tuple[Pending, ...] = ()

    @property
    def candidate(self) -> Candidate | None:
        """The selected one; else the root."""
        return self.snapshot.candidates.get(self.selected or "") or self.snapshot.root

    def pending_of(self, node: str | None) -> str:
        """What a node, or the run, waits for; empty for nothing."""
        return next((p.command for p in self.pending if p.node == node), "")
