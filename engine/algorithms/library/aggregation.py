"""From per-token losses to one number."""

from typing import ClassVar

from torch import Tensor

from engine.contract import Inner, Mechanism, Minibatch


class ConstantLength(Mechanism):
    """Sum over tokens divided by rows times the length limit: no length bias (Dr.GRPO, arXiv 2503.20783).

    loss = sum over tokens of l / (B * L_max), L_max the length limit of a completion.

    Acts: wherever rows differ in length; where rows are short against the limit the loss shrinks with them,
    which only an optimizer that is blind to scale forgives.
    """

    def aggregate(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        total = (per_token * m.mask).sum()
        if m.keep is None:
            return total / (per_token.size(0) * m.hyper.max_length) / m.hyper.accumulation
        return total / max(m.norm.rows * m.hyper.max_length, 1.0)


class TokenMean(Mechanism):
    """Mean over all tokens of the optimizer step, long rows weigh more (DAPO, arXiv 2503.14476).

    loss = sum over tokens of l / N, N the tokens of all rows of the optimizer step.

    Acts: wherever rows differ in length; a few very long rows dominate the step.
    """

    def aggregate(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        return (per_token * m.mask).sum() / max(m.norm.tokens, 1.0)


class LocalTokenMean(Mechanism):
    """Mean over the tokens of the micro-batch at hand, then over micro-batches (BNPO's loss in TRL, arXiv
    2506.02864).

    loss = sum over the micro-batch's tokens of l / n / accumulation, n the tokens of this micro-batch.

    Acts: wherever rows differ in length; depends on the split into micro-batches, so that a change of batch
    size on the device changes the algorithm.
    """

    local: ClassVar[bool] = True

    def aggregate(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        return (per_token * m.mask).sum() / m.mask.sum().clamp(min=1.0) / m.hyper.accumulation


class SequenceSum(Mechanism):
    """Sum over the tokens of a row, mean over rows: a sequence counts by its length (LUSPO, arXiv
    2602.05261).

    loss = mean over rows of sum over tokens of l; with one ratio a sequence that is GSPO's loss times the
    length.

    Acts: wherever rows differ in length, meant to go with SequenceRatio and SequenceClip(low=0.002,
    high=0.0025); rewarded long rows pull hardest, so lengths may grow without end.
    """

    def aggregate(self, m: Minibatch, per_token: Tensor, inner: Inner) -> Tensor:
        rows = (per_token * m.mask).sum(-1)
        if m.keep is None:
            return rows.mean() / m.hyper.accumulation
        return (rows * m.keep).sum() / max(m.norm.rows, 1.0)
