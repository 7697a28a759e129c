"""Whole groups in a micro-batch: TRL shuffles rows, and some mechanisms compare the rows of a group inside the loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from trl.trainer.utils import split_tensor_dict

from engine.algorithms.pipeline import Pipeline
from engine.errors import PoiseError


def refuse_torn_groups(pipeline: Pipeline, rows: int, group_size: int) -> None:
    """Say so before the training where a micro-batch cannot hold whole groups.

    Raises:
        PoiseError: a mechanism needs whole groups, and `rows` is no multiple of `group_size`.
    """
    if pipeline.needs_whole_groups and rows % group_size:
        who = ", ".join(m.name for m in pipeline.algorithm.mechanisms if m.whole_groups)
        raise PoiseError(
            f"{pipeline.algorithm.name}: {who} needs whole groups in a micro-batch, but {rows} rows do not hold whole "
            f"groups of {group_size}; make the rows of an update a multiple of the group size"
        )


def whole_groups(chunks: list[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    """TRL's shuffled micro-batches put together again: every group in one of them, its rows in order.

    Groups stand in the order in which the shuffle brought their first row, so the order stays TRL's random one.

    Args:
        chunks: micro-batches: tensors of rows, lists of rows, numbers of the whole batch, and None.
        prefix: of our per-row `group` and `row` among them.
    """
    joined = {key: _joined([chunk[key] for chunk in chunks]) for key in chunks[0]}
    groups, rows = joined[prefix + "group"].tolist(), joined[prefix + "row"].tolist()
    turn = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    order = sorted(range(len(rows)), key=lambda i: (turn[groups[i]], rows[i]))
    ordered = {key: _taken(value, order) for key, value in joined.items()}
    found: list[dict[str, Any]] = split_tensor_dict(ordered, len(chunks))
    return found


def _joined(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, Tensor) and first.dim() > 0:
        return torch.cat(values)
    return [x for value in values for x in value] if isinstance(first, list) else first


def _taken(value: Any, order: list[int]) -> Any:
    if isinstance(value, Tensor) and value.dim() > 0:
        return value[torch.tensor(order, device=value.device)]
    return [value[i] for i in order] if isinstance(value, list) else value
