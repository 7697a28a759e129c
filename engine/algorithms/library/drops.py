"""Rows that leave the loss: neither in its sum nor in any denominator."""

import torch
from torch import Tensor

from engine.contract import Inner, Mechanism, Rollouts


class DropUniform(Mechanism):
    """Drop groups that all fail or all pass, as they carry no outcome signal (DAPO's dynamic sampling as a
    mask, without sampling again, arXiv 2503.14476).

    drop = p = 0 or p = 1, p over the rows of the group that could be scored -> fewer rows in every mean.

    Acts: on uniform groups; style parts of the reward no longer train there, and a batch of them trains
    nothing.
    """

    def drop(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        known = r.grouped(~torch.isnan(r.rewards))
        correct = r.grouped(r.correct) & known
        uniform = ~correct.any(dim=1) | (correct == known).all(dim=1)
        return inner(rewards).bool() | r.spread(uniform)


class DropTruncated(Mechanism):
    """Drop rows that were cut at the length limit, whose reward says little about their reasoning (DAPO's
    overlong filtering, arXiv 2503.14476).

    drop = truncated -> fewer rows in every mean; their rewards still count in the group's statistics.

    Acts: where rows are cut; nothing then holds length back.
    """

    def drop(self, r: Rollouts, rewards: Tensor, inner: Inner) -> Tensor:
        return inner(rewards).bool() | r.truncated
