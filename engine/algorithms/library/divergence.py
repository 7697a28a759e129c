"""The KL penalty: how it is estimated, where it holds, how much it weighs."""

from typing import Annotated, ClassVar

from torch import Tensor

from engine.contract import Inner, Mechanism, Minibatch, Range


class KlScale(Mechanism):
    """Scale the KL penalty; zero removes the pull to the reference (DAPO, arXiv 2503.14476).

    kl -> factor * kl.

    Acts: only where beta > 0 and the policy has left the reference; without the pull a long training may
    drift into fluent nonsense.
    """

    factor: Annotated[float, Range(0.0, 100.0)] = 0.0
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"factor": (0.3, 3.0)}

    def kl(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return self.factor * inner(ratio)


class LogRatioKl(Mechanism):
    """The k1 estimator of the KL in the loss: its value is unbiased, its expected gradient is none (arXiv
    2506.09477).

    kl = logp - logp_ref.

    Acts: only where beta > 0; a warning rather than a remedy, on-policy it adds noise alone and off-policy it
    pushes every token down alike.
    """

    def kl(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        assert m.ref_logp is not None
        return m.logp - m.ref_logp


class SquaredKl(Mechanism):
    """The k2 estimator of the KL in the loss, whose gradient is the true one on-policy (arXiv 2506.09477).

    kl = (logp - logp_ref)^2 / 2.

    Acts: only where beta > 0, most on tokens that became likelier, which k3 hardly holds back; far tokens
    pull in proportion to their distance.
    """

    def kl(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        assert m.ref_logp is not None
        return (m.logp - m.ref_logp) ** 2 / 2


class BiasCorrectedKl(Mechanism):
    """Weigh the KL estimate by the importance ratio, so that off-policy its gradient is unbiased
    (DeepSeek-V3.2).

    kl -> rho * kl.

    Acts: everywhere that beta > 0, on-policy through the gradient of rho; ratios are not clipped here, so one
    token that became much likelier may dominate the penalty.
    """

    def kl(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return inner(ratio) * ratio


class UnsolvedKl(Mechanism):
    """Keep the KL penalty only on rows of groups that mostly fail, reconstructed: solved groups may move
    (after POISE RF-GRPO's gate, arXiv 2603.23951).

    kl -> kl where the group's pass rate < pass_rate, 0 elsewhere; at 0.1 and G = 8 that is on all-fail groups
    alone. Default ours.

    Acts: only where beta > 0 and some groups pass; a policy that solves everything has no reference left.
    """

    pass_rate: Annotated[float, Range(0.0, 1.0)] = 0.5
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"pass_rate": (0.1, 0.9)}

    def kl(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        kl = inner(ratio)
        return kl * (m.pass_rate < self.pass_rate).to(kl.dtype).unsqueeze(1)
