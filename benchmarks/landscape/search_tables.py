"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.landscape.search_world import BUDGET

HEADS = (
    "trainings to the top 1 %",
    "found in 64",
    "to the top 5 %",
    "to within noise of the best",
    "regret after 16",
    "after 64",
    "of the chosen",
    "its gain, fresh training",
)


def tables(result: Mapping[str, Any]) -> str:
    """All of them."""
    swept = result["sweep"]
    lines = [
        _trust(result["trust"]),
        "",
        f"{result['repetitions']} repetitions; medians and means with 95 % bands over repetitions",
        "",
        *_table(result["arms"]),
        "",
        f"Best peer: {result['best_peer']}. Trainings to the top 1 %, as a share of another's:",
        "",
        "| | of medians | of means within 64 |",
        "|---|---|---|",
        *(f"| {name} | {_cell(r['medians'], 2)} | {_cell(r['means'], 2)} |" for name, r in result["ratios"].items()),
        "",
        "Settings, chosen on {chosen_on} repetitions by mean regret, told by the other {told_by}:".format_map(swept),
        "",
        *_table(swept["told"]),
        "",
        "| the ten best of the first half | mean regret there |",
        "|---|---|",
        *(f"| {name} | {v:.2f} |" for name, v in list(swept["tried"].items())[:10]),
        "",
        "From other algorithms of the landscape than GRPO:",
        "",
        *_table(result["from_elsewhere"]),
        "",
        f"{result['cpu_seconds']} s of CPU",
    ]
    return "\n".join(lines)


def _trust(told: Mapping[str, Any]) -> str:
    shared = ", ".join(f"{100 * v:.0f} % of the {name}" for name, v in told["shared_with_the_real_top"].items())
    sizes = ", ".join(f"{name} {n}" for name, n in told["sizes"].items())
    return (
        f"{told['algorithms']} algorithms within reach; GRPO {told['root']:.1f}, the best {told['best']:.1f} "
        f"(subset {told['best_subset']}). Between algorithms {told['spread_of_algorithms']:.2f} points, between "
        f"trainings of one {told['noise_of_a_training']:.2f}; reliability of the truth {told['reliability']:.3f}. "
        f"Sizes: {sizes}. Of the landscape's tops are really there: {shared}."
    )


def _table(arms: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [f"| strategy | {' | '.join(HEADS)} |", "|---" * (len(HEADS) + 1) + "|"]
    for name, a in arms.items():
        cells = [
            _cell(a["top 1 %"]["median"], 0),
            f"{100 * a['top 1 %']['share_within_budget']:.0f} %",
            _cell(a["top 5 %"]["median"], 0),
            _cell(a["near best"]["median"], 0),
            _cell(a["regret_at"]["16"], 2),
            _cell(a["regret_at"][str(BUDGET)], 2),
            _cell(a["chosen_regret"], 2),
            f"{_cell(a['fresh_gain'], 1)}; by model {a['fresh_gain_by_model'][0]:.1f}",
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def _cell(values: Sequence[float | None], digits: int) -> str:
    point, low, high = (f">{BUDGET}" if v is None else f"{v:.{digits}f}" for v in values)
    return f"{point} ({low}-{high})"
