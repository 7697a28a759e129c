"""The stages of GRPO that a mechanism may hook, in the order in which they run, and what each makes of its value.

B rows (completions), T completion tokens. Free of torch: the search reads the library without it.
"""

CONTRACT_VERSION = 1
"""Of the algorithm contract, `engine.contract`."""

ROLLOUT_STAGES: dict[str, str] = {
    "shape_rewards": "total rewards (B,) -> shaped rewards (B,)",
    "drop": "shaped rewards (B,) -> bool (B,): True removes the row from every denominator of the loss",
    "baseline": "shaped rewards (B,) -> baseline (B,) or (B,T), subtracted from them",
    "scale": "centred rewards -> the divisor (B,) or (B,T)",
    "advantages": "centred / divisor -> advantages (B,) or (B,T)",
    "sampler_weight": "advantages -> weight of each row or token against the sampler's bias (B,), (B,1) or (B,T)",
}
"""Whole batch of rollouts, before training on it."""

LOSS_STAGES: dict[str, str] = {
    "ratio": "log(policy / old policy) (B,T) -> importance ratio (B,T) or (B,1)",
    "kl": "ratio -> per-token KL to the reference (B,T); only called when beta > 0",
    "surrogate": "ratio -> per-token policy loss (B,T) or (B,1), to minimise",
    "weights": "surrogate -> factor of each token's policy loss (B,T), numerator only",
    "aggregate": "per-token loss (B,T) -> this micro-batch's share of the loss (scalar)",
    "regularize": "aggregated loss -> scalar added to it (GRPO: minus entropy_coef times the mean entropy)",
}
"""One micro-batch, inside the loss."""

CONTROLLER = "on_optimizer_step"
"""Not a stage of a value: figures of an update -> nothing; changes the mechanism's declared state."""
