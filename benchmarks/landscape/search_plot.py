"""The picture of searches compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLOURS = ("#6b7280", "#b45309", "#0f766e", "#7c3aed", "#be123c", "#1d4ed8", "#111827")


def draw(results: Mapping[str, Mapping[str, Any]], shown: Sequence[str], path: Path) -> None:
    """Regret over trainings: of the best trained, and of the one with the best score; 95 % bands over repetitions."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "search", "svg.fonttype": "path", "font.size": 9}):
        figure = Figure(figsize=(10, 4), layout="constrained")
        for axes, (curve, title) in zip(
            figure.subplots(1, 2, sharey=True),
            (("regret_curve", "best algorithm trained so far"), ("chosen_curve", "the one with the best score so far")),
            strict=True,
        ):
            for name, colour in zip(shown, COLOURS, strict=False):
                mean, low, high = results[name][curve]
                axes.plot(mean, color=colour, linewidth=1.6, label=name)
                axes.fill_between(range(len(mean)), low, high, color=colour, alpha=0.15, linewidth=0)
            axes.set(title=title, xlabel="trainings")
            axes.grid(visible=True, alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        figure.axes[0].set_ylabel("points of Overall below the landscape's best")
        figure.axes[0].legend(frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})
