"""Published algorithms as what they are here: GRPO plus mechanisms of the library, and what each claims to do.

Text only; `render` makes a file of one. Where a paper bundles changes, every change is a mechanism of its own, so that
each can be switched off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from engine.algorithms.catalogue import MechanismChoice, Param, catalogue
from engine.algorithms.render import render


@dataclass(frozen=True)
class Recipe:
    """One named algorithm."""

    name: str
    source: str
    """Where it was published."""
    mechanisms: Mapping[str, Mapping[str, Param]]
    """By name, in the order of the tuple: the constants that differ from the library's defaults."""
    claims: tuple[str, ...] = ()

    def choices(self) -> tuple[MechanismChoice, ...]:
        """Its mechanisms with all their constants."""
        return tuple(catalogue()[name].choice(**params) for name, params in self.mechanisms.items())

    def file(self) -> str:
        """The source of its algorithm file."""
        return render(self.name, self.source, self.choices(), claims=self.claims)


POISE = "POISE, arXiv 2603.23951"


@cache
def recipes() -> dict[str, Recipe]:
    """Every named algorithm, by name: literature first, then POISE's own."""
    return {recipe.name: recipe for recipe in (*_LITERATURE, *_POISE)}


def _of(name: str, source: str, *mechanisms: str | tuple[str, Mapping[str, Param]], claims: str = "") -> Recipe:
    chosen = dict((m, {}) if isinstance(m, str) else m for m in mechanisms)
    return Recipe(name, source, chosen, tuple(claims.split()))


_LITERATURE = (
    _of("GRPO", "arXiv 2402.03300"),
    _of("Dr.GRPO", "arXiv 2503.20783", "NoStd", "ConstantLength", claims="no_std_division"),
    _of(
        *("DAPO", "arXiv 2503.14476; dynamic sampling as a mask, without sampling again"),
        *("DropUniform", "SoftOverlong", "ClipHigher", "TokenMean", "KlScale"),
        claims="silent_on_all_fail silent_on_all_pass long_rows_weigh_more weakens_kl",
    ),
    _of("RLOO", "arXiv 2402.14740", "LeaveOneOut", "NoStd", claims="no_std_division"),
    _of("REINFORCE++", "arXiv 2501.03262", "TokenWhitening"),
    _of("REINFORCE++-baseline", "arXiv 2501.03262", "GroupTokenWhitening"),
    _of("OPO", "arXiv 2505.23585", "LengthWeightedBaseline", "NoStd", claims="no_std_division"),
    _of("Lite-PPO", "arXiv 2508.08221", "BatchStd", "TokenMean", claims="long_rows_weigh_more"),
    _of("KRPO", "arXiv 2505.07527", "KalmanBaseline"),
    _of("Pass-at-k", "arXiv 2508.10751", "PassAtK", claims="raises_rare_successes silent_on_all_fail"),
    _of("Best-of-k", "arXiv 2503.19595", "BestOnly", claims="stronger_on_successes"),
    _of("MaxRL", "arXiv 2602.02710", "MeanScale", claims="raises_rare_successes"),
    _of("QAE", "arXiv 2509.22611", "QuantileBaseline"),
    _of("GDPO", "arXiv 2601.05242", "PartNormalization"),
    _of("HA-DW", "arXiv 2601.08521", "HistoryWeight"),
    _of("Unlikeliness", "arXiv 2506.02355", "UnlikelyReward"),
    _of("PSR-NSR", "arXiv 2506.01347", "SignedOutcomes", claims="stronger_on_failures pushes_down_all_fail"),
    _of("Entropy-advantage", "arXiv 2506.14758", "EntropyAdvantage", claims="favours_uncertain_tokens"),
    _of("GRPO-LEAD", "arXiv 2504.09696", "ExponentialLength", "HardPromptWeight"),
    _of("GSPO", "arXiv 2507.18071", "SequenceRatio", "SequenceClip", claims="sequence_level_ratio"),
    _of("GSPO-token", "arXiv 2507.18071", "TokenSequenceRatio", "SequenceClip", claims="sequence_level_ratio"),
    _of("GMPO", "arXiv 2507.20673", "GeometricMeanRatio", claims="sequence_level_ratio bounds_extreme_ratios"),
    _of("CISPO", "arXiv 2506.13585", "ClippedWeight", "TokenMean", claims="keeps_gradient_of_clipped_tokens"),
    _of("SAPO", "arXiv 2511.20347", "SoftGate", claims="keeps_gradient_of_clipped_tokens"),
    _of("ASPO", "arXiv 2510.06062", "FlippedRatio"),
    _of("CE-GPPO", "arXiv 2509.20712", "ClippedGradient", claims="keeps_gradient_of_clipped_tokens"),
    _of(
        *("LUSPO", "arXiv 2602.05261", "SequenceRatio"),
        *(("SequenceClip", {"low": 2e-3, "high": 2.5e-3}), "SequenceSum"),
        claims="sequence_level_ratio long_rows_weigh_more",
    ),
    _of("VESPO", "arXiv 2602.10693", "GammaWeight", "TokenMean", claims="sequence_level_ratio"),
    _of("DPPO", "arXiv 2602.04879", "ProbabilityClip", claims="bounds_extreme_ratios"),
    _of("DRO", "arXiv 2405.19107", "QuadraticDrift"),
    _of("GVPO", "arXiv 2504.19599", "GroupRegression"),
    _of("Clip-Cov", "arXiv 2505.22617", "CovarianceClip"),
    _of("KL-Cov", "arXiv 2505.22617", "CovarianceKl"),
    _of("Forking-tokens", "arXiv 2506.01939", "TopEntropyTokens", claims="favours_uncertain_tokens"),
    _of("Off-policy-mask", "DeepSeek-V3.2", "OffPolicyMask", claims="distrusts_off_policy_rows"),
    _of("Kimi-length", "Kimi k1.5, arXiv 2501.12599", "MinMaxLength", claims="penalises_length"),
    _of("L1-Exact", "arXiv 2503.04697", "LengthTarget"),
    _of("L1-Max", "arXiv 2503.04697", "LengthBudget", claims="length_only_when_correct"),
    _of("ALP", "arXiv 2506.05256", "PassRateLengthPenalty"),
    _of("GRPO-lambda", "arXiv 2505.18086", "TopGroupsLength"),
)

_POISE = (
    _of(
        *("AV-GRPO", f"{POISE}: analytic variance, a bundle of three by the paper's own words"),
        *("FlooredStd", "InvalidPenalty", "EntropyBonusScale"),
        claims="penalises_invalid weakens_entropy_bonus",
    ),
    _of(
        *("VM-GRPO", f"{POISE}: the validity mask of VM-AV-GRPO alone", "ValidityMask"),
        claims="pushes_down_all_fail lifts_all_pass",
    ),
    _of(
        *("VM-AV-GRPO", POISE, "ValidityMask", "RelativeLengthDamping", "AdaptiveEntropy"),
        claims="pushes_down_all_fail lifts_all_pass adapts_entropy_bonus",
    ),
    _of("MSA-GRPO", POISE, "OutcomeStd", "UniformDamping", "LengthExponent"),
    _of("BN-GRPO", POISE, "BatchRms", ("AdvantageClip", {"limit": 3.0}), claims="no_std_division"),
    _of("FA-GRPO", POISE, ("AdvantageClip", {"limit": 3.0}), "AllFailPenalty", claims="pushes_down_all_fail"),
    _of("DFR-GRPO", POISE, "DecoupledFormat", "AllFailEntropy"),
    _of("SA-GRPO", POISE, "BlendedBaseline", "ConstantScale", claims="no_std_division"),
    _of(
        *("DACE-GRPO", POISE, "DifficultyBoost", "SolvedLengthPenalty", "AnnealedEntropy"),
        claims="length_only_when_correct adapts_entropy_bonus",
    ),
    _of("CAG-GRPO", POISE, "LongCorrectPenalty", claims="length_only_when_correct"),
    _of(
        *("DCBE-GRPO", POISE, "RelativeBrevity", "AdaptiveEntropy"),
        claims="length_only_when_correct adapts_entropy_bonus",
    ),
    _of("RF-GRPO", f"{POISE}, reconstructed from prose", "DampedScale", "HierarchicalFormat", "UnsolvedKl"),
    _of("PR-GRPO", f"{POISE}, reconstructed from prose", "RegimeAdvantages", claims="silent_on_all_pass"),
    _of("CDA-GRPO", f"{POISE}, reconstructed from prose", "OptimisticBaseline", "CorrectBrevity"),
    _of("GLA-GRPO", f"{POISE}, reconstructed from its name", "GroupLengthAdjustment"),
)
