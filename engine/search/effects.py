"""What verification measures of each library mechanism alone: the claims it may make, as text, without torch.

Found by measuring the whole vocabulary (engine/verify/claims.py) on every mechanism with its defaults and with every
other value worth trying; a test measures them again. A claim that holds with some constants alone stands under the
mechanism with just these (`MechanismChoice.key`).
"""

from __future__ import annotations

from engine.algorithms.catalogue import MechanismChoice, catalogue


def claims_of(choice: MechanismChoice) -> tuple[str, ...]:
    """What is known of a library mechanism with these constants; nothing of constants that were not measured."""
    entry = catalogue().get(choice.name)
    if entry is None or choice.params.keys() != entry.params.keys():
        return ()
    other = [name for name, value in choice.params.items() if value != entry.params[name]]
    if len(other) > 1 or any(choice.params[name] not in entry.tunable.get(name, ()) for name in other):
        return ()
    return CLAIMS.get(choice.name, ()) + CLAIMS.get(choice.key, ())


_TABLE = """\
AdaptiveEntropy: weakens_entropy_bonus adapts_entropy_bonus
AdvantageClip: bounded_advantages
AllFailPenalty: penalises_invalid
AllFailPenalty(invalid=-1.0,wrong=-0.5): pushes_down_all_fail
AllFailPenalty(invalid=-2.0,wrong=-0.1): pushes_down_all_fail
AllFailPenalty(invalid=-2.0,wrong=-0.5): pushes_down_all_fail
AllFailPenalty(invalid=-2.0,wrong=-1.0): pushes_down_all_fail
AllFailPenalty(invalid=-2.0,wrong=0.0): silent_on_all_fail
AllFailPenalty(invalid=-3.0,wrong=-0.5): pushes_down_all_fail
AnnealedEntropy: adapts_entropy_bonus
BatchRms: no_std_division bounded_advantages
BatchStd: no_std_division bounded_advantages
BestOnly: raises_rare_successes stronger_on_successes ignores_invalid strengthens_kl strengthens_entropy_bonus
BlendedBaseline: pushes_down_all_fail lifts_all_pass bounded_advantages
BlendedBaseline(share=0.25): weakens_kl weakens_entropy_bonus
ClipHigher(high=0.8,low=0.2): keeps_gradient_of_clipped_tokens
ClippedGradient: keeps_gradient_of_clipped_tokens
ClippedWeight: keeps_gradient_of_clipped_tokens bounds_extreme_ratios
ConstantLength: long_rows_weigh_more strengthens_entropy_bonus
ConstantScale: no_std_division bounded_advantages
ConstantScale(sigma=1.0): strengthens_kl strengthens_entropy_bonus
CorrectBrevity: length_only_when_correct
CorrectBrevity(weight=0.1): penalises_length
CorrectBrevity(weight=0.2): penalises_length
CorrectBrevity(weight=0.4): penalises_length
CorrectnessGate(keep=0.0): silent_on_all_fail length_only_when_correct
CovarianceKl(coefficient=1.0,share=0.02): keeps_gradient_of_clipped_tokens
CovarianceKl(coefficient=10.0,share=0.0002): keeps_gradient_of_clipped_tokens
DampedScale(damping=0.1): strengthens_kl strengthens_entropy_bonus
DampedScale(damping=0.3): bounded_advantages strengthens_kl strengthens_entropy_bonus
DampedScale(damping=1.0): bounded_advantages strengthens_kl strengthens_entropy_bonus
DecoupledFormat: silent_on_all_fail silent_on_all_pass penalises_invalid
DifficultyBoost: raises_rare_successes
DifficultyBoost(alpha=0.5): weakens_kl weakens_entropy_bonus
DifficultyBoost(alpha=1.0): weakens_kl weakens_entropy_bonus
DifficultyBoost(alpha=2.0): weakens_kl weakens_entropy_bonus
DropTruncated: ignores_truncated
DropUniform: silent_on_all_fail silent_on_all_pass
DualClip: bounds_extreme_ratios
EntropyAdvantage: stronger_on_successes favours_uncertain_tokens
EntropyAdvantage(alpha=0.2,kappa=2.0): raises_rare_successes
EntropyAdvantage(alpha=0.4,kappa=1.5): raises_rare_successes
EntropyAdvantage(alpha=0.4,kappa=2.0): raises_rare_successes
EntropyAdvantage(alpha=0.4,kappa=4.0): raises_rare_successes
EntropyAdvantage(alpha=1.0,kappa=2.0): raises_rare_successes
EntropyBonus: strengthens_entropy_bonus
EntropyBonusScale(factor=0.0): weakens_entropy_bonus
EntropyBonusScale(factor=0.25): weakens_entropy_bonus
EntropyBonusScale(factor=10.0): strengthens_entropy_bonus
EntropyBonusScale(factor=4.0): strengthens_entropy_bonus
ExponentialLength: silent_on_all_fail silent_on_all_pass
ExponentialLength(alpha=0.05): length_only_when_correct
ExponentialLength(alpha=0.1): length_only_when_correct
ExponentialLength(alpha=0.2): penalises_length length_only_when_correct
FlooredStd(sigma_min=0.4): bounded_advantages
GammaWeight: keeps_gradient_of_clipped_tokens bounds_extreme_ratios sequence_level_ratio distrusts_off_policy_rows
GeometricMeanRatio: bounds_extreme_ratios sequence_level_ratio distrusts_off_policy_rows
GeometricMeanRatio(high=0.4,low=0.8): keeps_gradient_of_clipped_tokens
GeometricMeanRatio(high=0.8,low=0.4): keeps_gradient_of_clipped_tokens
GroupLengthAdjustment: rewards_length
GroupRegression: bounds_extreme_ratios sequence_level_ratio long_rows_weigh_more
GroupRegression(beta=0.03): keeps_gradient_of_clipped_tokens strengthens_kl strengthens_entropy_bonus
GroupRegression(beta=0.1): keeps_gradient_of_clipped_tokens
GroupRegression(beta=0.3): keeps_gradient_of_clipped_tokens distrusts_off_policy_rows weakens_kl weakens_entropy_bonus
GroupRegression(beta=1.0): weakens_kl weakens_entropy_bonus
GroupTokenWhitening: no_std_division bounded_advantages
HardPromptWeight: raises_rare_successes
HardPromptWeight(gain=2.0,low=0.4): weakens_kl weakens_entropy_bonus
HierarchicalFormat: silent_on_all_fail silent_on_all_pass penalises_invalid
HistoryWeight: raises_rare_successes
HistoryWeight(gain=1.3,step=0.1): weakens_kl weakens_entropy_bonus
HistoryWeight(gain=1.3,step=0.5): weakens_kl weakens_entropy_bonus
HistoryWeight(gain=1.3,step=1.0): weakens_kl weakens_entropy_bonus
HistoryWeight(gain=2.0,step=0.1): weakens_kl weakens_entropy_bonus
InvalidPenalty: penalises_invalid
KalmanBaseline: stronger_on_failures no_std_division
KalmanBaseline(measurement=0.01,process=0.0001): rewards_length weakens_kl weakens_entropy_bonus
KalmanBaseline(measurement=0.01,process=0.01): lifts_all_pass rewards_length weakens_kl weakens_entropy_bonus
KalmanBaseline(measurement=0.01,process=1e-05): weakens_kl weakens_entropy_bonus
KalmanBaseline(measurement=0.1,process=1e-05): lifts_all_pass weakens_kl weakens_entropy_bonus
KalmanBaseline(measurement=1.0,process=1e-05): lifts_all_pass bounded_advantages
KlInReward(coefficient=0.01): strengthens_kl
KlInReward(coefficient=0.03): strengthens_kl
KlScale(factor=0.0): weakens_kl
KlScale(factor=0.3): weakens_kl
KlScale(factor=3.0): strengthens_kl
LengthBudget: penalises_length length_only_when_correct
LengthExponent(power=-0.2): penalises_length penalises_truncated
LengthExponent(power=0.1): rewards_length
LengthExponent(power=0.2): rewards_length
LengthExponent(power=0.5): rewards_length
LengthTarget(alpha=0.01,target=0.5): penalises_length penalises_truncated
LocalTokenMean: long_rows_weigh_more
LogRatioKl: strengthens_kl
LongCorrectPenalty(beta=0.25): length_only_when_correct
LongCorrectPenalty(beta=0.5): length_only_when_correct
LongCorrectPenalty(beta=1.0): penalises_length length_only_when_correct
MeanScale: silent_on_all_fail no_std_division
MeanScale(p_min=0.0625): raises_rare_successes
MeanScale(p_min=0.125): raises_rare_successes
MeanScale(p_min=0.25): raises_rare_successes
MeanScale(p_min=0.5): bounded_advantages
MinMaxLength: penalises_length penalises_truncated
NegativeWeight(factor=0.1): raises_rare_successes stronger_on_successes penalises_length strengthens_kl strengthens_entropy_bonus
NegativeWeight(factor=0.25): raises_rare_successes stronger_on_successes penalises_length strengthens_kl strengthens_entropy_bonus
NegativeWeight(factor=0.5): raises_rare_successes stronger_on_successes strengthens_kl strengthens_entropy_bonus
NegativeWeight(factor=2.0): stronger_on_failures weakens_kl weakens_entropy_bonus
NoStd: no_std_division bounded_advantages strengthens_kl strengthens_entropy_bonus
OffPolicyMask(threshold=0.02): distrusts_off_policy_rows
OffPolicyMask(threshold=0.1): distrusts_off_policy_rows
OffPolicyMask(threshold=0.5): distrusts_off_policy_rows
OptimisticBaseline: pushes_down_all_fail stronger_on_failures
OptimisticBaseline(prior=1.0): bounded_advantages
OptimisticBaseline(prior=2.0): bounded_advantages
OutcomeStd: no_std_division
PartNormalization: penalises_length
PassAtK: raises_rare_successes silent_on_all_fail silent_on_all_pass strengthens_kl strengthens_entropy_bonus
PassRateLengthPenalty(beta=0.01): penalises_length penalises_truncated
ProbabilityClip: keeps_gradient_of_clipped_tokens bounds_extreme_ratios
QuadraticDrift: keeps_gradient_of_clipped_tokens bounds_extreme_ratios
QuantileBaseline: raises_rare_successes
QuantileBaseline(quantile=0.2): stronger_on_successes ignores_truncated ignores_invalid
QuantileBaseline(quantile=0.4): stronger_on_successes ignores_truncated ignores_invalid
QuantileBaseline(quantile=0.5): stronger_on_successes ignores_truncated ignores_invalid
QuantileBaseline(quantile=0.6): stronger_on_failures
QuantileBaseline(quantile=0.8): stronger_on_failures
RatioCap: bounds_extreme_ratios
RegimeAdvantages: pushes_down_all_fail silent_on_all_pass
RelativeBrevity: length_only_when_correct
RelativeBrevity(weight=0.5): penalises_length
RelativeBrevity(weight=1.0): penalises_length
RelativeLengthDamping: rewards_length
SequenceClip: strengthens_kl strengthens_entropy_bonus
SequenceRatio: keeps_gradient_of_clipped_tokens bounds_extreme_ratios sequence_level_ratio distrusts_off_policy_rows
SequenceSum: long_rows_weigh_more weakens_entropy_bonus
SignedOutcomes: pushes_down_all_fail bounded_advantages
SignedOutcomes(positive=0.0): silent_on_all_pass stronger_on_failures
SignedOutcomes(positive=0.1): lifts_all_pass stronger_on_failures
SignedOutcomes(positive=0.3): lifts_all_pass stronger_on_failures
SignedOutcomes(positive=1.0): lifts_all_pass
SilenceAllFail(factor=0.0): silent_on_all_fail
SoftGate: keeps_gradient_of_clipped_tokens bounds_extreme_ratios
SoftOverlong: penalises_length penalises_truncated
SolvedLengthPenalty: length_only_when_correct
SolvedLengthPenalty(weight=0.2): penalises_length
SolvedLengthPenalty(weight=0.4): penalises_length
TokenMean: long_rows_weigh_more
TokenSequenceRatio: keeps_gradient_of_clipped_tokens bounds_extreme_ratios sequence_level_ratio distrusts_off_policy_rows
TokenWhitening: pushes_down_all_fail lifts_all_pass no_std_division bounded_advantages
TopEntropyTokens: strengthens_kl strengthens_entropy_bonus
TopEntropyTokens(share=0.1): favours_uncertain_tokens
TopEntropyTokens(share=0.2): favours_uncertain_tokens
TopEntropyTokens(share=0.4): favours_uncertain_tokens
TopGroupsLength: length_only_when_correct
TopGroupsLength(alpha=0.2,share=0.6): penalises_length
TopGroupsLength(alpha=0.4,share=0.2): penalises_length
UniformDamping(alpha=0.0): silent_on_all_fail silent_on_all_pass
UnlikelyReward: length_only_when_correct
UnlikelyReward(beta=0.25): rewards_length long_rows_weigh_more
UnlikelyReward(beta=0.5): stronger_on_successes rewards_length long_rows_weigh_more
UnsolvedKl(pass_rate=0.1): weakens_kl
UnsolvedKl(pass_rate=0.5): weakens_kl
ValidityMask(invalid_advantage=-0.5,prior=1.0,sigma_floor=0.1): pushes_down_all_fail lifts_all_pass bounded_advantages
ValidityMask(invalid_advantage=-1.0,prior=0.0,sigma_floor=0.1): silent_on_all_fail silent_on_all_pass penalises_invalid
ValidityMask(invalid_advantage=-1.0,prior=0.5,sigma_floor=0.1): pushes_down_all_fail lifts_all_pass bounded_advantages penalises_invalid
ValidityMask(invalid_advantage=-1.0,prior=1.0,sigma_floor=0.1): pushes_down_all_fail lifts_all_pass bounded_advantages penalises_invalid
ValidityMask(invalid_advantage=-1.0,prior=1.0,sigma_floor=0.2): pushes_down_all_fail lifts_all_pass bounded_advantages penalises_invalid
ValidityMask(invalid_advantage=-1.0,prior=1.0,sigma_floor=0.4): pushes_down_all_fail lifts_all_pass bounded_advantages penalises_invalid
ValidityMask(invalid_advantage=-2.0,prior=1.0,sigma_floor=0.1): pushes_down_all_fail lifts_all_pass bounded_advantages penalises_invalid
"""  # noqa: E501

CLAIMS: dict[str, tuple[str, ...]] = {
    key: tuple(said.split()) for key, said in (row.split(": ") for row in _TABLE.splitlines())
}
"""By mechanism, or by mechanism with its constants."""
