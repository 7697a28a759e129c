"""Verbs that choose what is looked at: jumping, filtering, sorting, folding, curves to keep, metrics, themes."""

from engine.errors import PoiseError
from poise_tui.arrange import ORDERS
from poise_tui.board import Board
from poise_tui.query import WORDS, parse
from poise_tui.screens.prompt import Prompt
from poise_tui.snapshot import Candidate
from poise_tui.widgets.curves import Curves

EXAMPLES = "overall>=40  gain>2  status:running  mechanism:gspo  better  -pruned  a regex of names"


class Choosing(Board):
    """What one looks at, and how."""

    def action_out(self) -> None:
        """Out of whatever one is in, the innermost first."""
        if self.view.went_back():
            return
        if self.shown.query:
            self.change(query=parse(""))
        elif self.current_mode != self.DEFAULT_MODE:
            self.action_go(self.before if self.before != self.current_mode else self.DEFAULT_MODE)

    def action_enter(self) -> None:
        """The selected candidate in full."""
        self.action_go("candidate")

    def action_jump(self, where: str) -> None:
        """Select the best, the parent, or the next candidate that runs or failed."""
        found = self.jump_target(where)
        if found is None:
            words = {"best": "nothing is wholly trained yet", "parent": "the root has no parent"}
            self.notify(words.get(where, f"no candidate {where}"), severity="warning", timeout=2)
        else:
            self.select(found.id)

    def jump_target(self, where: str) -> Candidate | None:
        """The candidate that a jump leads to."""
        snapshot, selected = self.shown.snapshot, self.candidate
        if where == "best":
            return snapshot.best
        if where == "parent":
            return snapshot.candidates.get(selected.parent or "") if selected else None
        rows = [snapshot.candidates[branch.id] for branch in snapshot.tree]
        place = rows.index(selected) if selected in rows else 0
        after = rows[place + 1 :] + rows[: place + 1]
        wanted = WORDS["running"] if where == "running" else (lambda c: c.status in ("failed", "infeasible"))
        return next((candidate for candidate in after if wanted(candidate)), None)

    def select(self, node: str) -> None:
        """Select a candidate in whatever lists are on show."""
        self.change(selected=node)
        self.view.go_to(node)

    def action_filter(self, text: str | None = None) -> None:
        """Show candidates that fit a query; without one, ask for it and filter while it is typed."""
        if text is not None:
            self.change(query=parse(text))
            return
        before = self.shown.query

        def typed(text: str) -> str | None:
            try:
                self.change(query=parse(text))
            except PoiseError as error:
                return str(error)
            fitting = sum(map(self.shown.query.fits, self.shown.snapshot.candidates.values()))
            return f"{fitting} of {len(self.shown.snapshot.candidates)} fit" if self.shown.query else EXAMPLES

        def decide(text: str | None) -> None:
            if text is None:
                self.change(query=before)
            else:
                try:
                    self.change(query=parse(text))
                except PoiseError as error:
                    self.change(query=before)
                    self.notify(str(error), severity="error", markup=False)

        self.push_screen(Prompt("/", before.text, history=self.history("filter"), typed=typed), decide)

    def action_sort(self, direction: int) -> None:
        """Another order of siblings, or another column of a table."""
        if self.view.pane().order(direction):
            return
        names = list(ORDERS)
        self.change(order=names[(names.index(self.shown.order) + direction) % len(names)])
        self.notify(f"siblings by {self.shown.order}", timeout=2)

    def action_fold_dead(self) -> None:
        """Fold lineages in which nothing lives, or unfold them again."""
        self.change(folded_dead=not self.shown.folded_dead)

    def action_overlay(self) -> None:
        """Keep the selected candidate's curve, or let it go."""
        if (candidate := self.candidate) is not None:
            kept = self.shown.overlaid
            without = tuple(node for node in kept if node != candidate.id)
            self.change(overlaid=without if candidate.id in kept else (*kept, candidate.id))

    def action_overlay_none(self) -> None:
        """Only what is shown by itself."""
        self.change(overlaid=())

    def _charts(self) -> list[Curves]:
        return list(self.view.query(Curves))

    def action_metric(self, step: int | str) -> None:
        """Another metric: the next one, or one by its name."""
        for chart in self._charts():
            if isinstance(step, int):
                chart.turn_metric(step)
            elif not chart.set_metric(step):
                self.notify(f"no metric {step}: {', '.join(chart.metrics)}", severity="error", markup=False)

    def action_curves(self, what: str) -> None:
        """Another way to draw the curves."""
        for chart in self._charts():
            chart.change(what)

    def action_theme(self) -> None:
        """The next theme."""
        names = sorted(name for name in self.available_themes if name.startswith("poise-"))
        self.theme = names[(names.index(self.theme) + 1) % len(names)]
