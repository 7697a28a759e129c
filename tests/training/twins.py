"""What TRL can be asked for by a setting, and the mechanisms of ours that do the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trl import GRPOTrainer
from trl.experimental.gmpo import GMPOTrainer

from engine.algorithms.library.aggregation import ConstantLength, LocalTokenMean, SequenceSum, TokenMean
from engine.algorithms.library.clipping import ClipHigher, ClippedWeight, DualClip, RatioCap, SequenceClip, SoftGate
from engine.algorithms.library.divergence import BiasCorrectedKl, KlScale
from engine.algorithms.library.entropy import AdaptiveEntropy, EntropyBonusScale
from engine.algorithms.library.losses import GammaWeight
from engine.algorithms.library.ratios import GeometricMeanRatio, SequenceRatio
from engine.algorithms.library.scales import BatchStd, NoStd
from engine.algorithms.library.streams import PartNormalization
from engine.algorithms.library.token_weights import OffPolicyMask, TopEntropyTokens
from engine.contract import Mechanism


@dataclass(frozen=True)
class Twin:
    """One way to ask TRL for an algorithm, and ours."""

    name: str
    mechanisms: tuple[Mechanism, ...]
    settings: dict[str, Any]
    """TRL's, beside those of toy.config."""
    shared: dict[str, Any] = field(default_factory=dict)
    """Settings of the toy world, for both and for the root."""
    trl: type[GRPOTrainer] = GRPOTrainer
    not_bit_equal: str = ""
    """Why its sums cannot come out in the same order; empty where they do."""


ADAPTIVE = {"use_adaptive_entropy": True, "entropy_target": 3.08, "entropy_coef_delta": 0.005, "entropy_coef_max": 0.05}

TWINS = (
    Twin("Dr.GRPO", (NoStd(), ConstantLength()), {"loss_type": "dr_grpo", "scale_rewards": "none"}),
    Twin("DAPO's token mean", (TokenMean(),), {"loss_type": "dapo"}),
    Twin("DAPO's clip-higher", (TokenMean(), ClipHigher()), {"loss_type": "dapo", "epsilon_high": 0.28}),
    Twin("BNPO's local token mean", (LocalTokenMean(),), {"loss_type": "bnpo"}),
    Twin("CISPO", (TokenMean(), ClippedWeight()), {"loss_type": "cispo", "epsilon_high": 5.0}),
    Twin("CISPO's cap", (TokenMean(), ClippedWeight(cap=1.05)), {"loss_type": "cispo", "epsilon_high": 1.05}),
    Twin("SAPO", (SoftGate(),), {"loss_type": "sapo"}),
    Twin(
        "SAPO's temperatures",
        (SoftGate(tau_positive=2.0, tau_negative=4.0),),
        {"loss_type": "sapo", "sapo_temperature_pos": 2.0, "sapo_temperature_neg": 4.0},
    ),
    Twin("VESPO", (TokenMean(), GammaWeight()), {"loss_type": "vespo"}),
    Twin(
        "VESPO's shapes",
        (TokenMean(), GammaWeight(k_positive=1.0, lambda_positive=2.0, k_negative=2.0, lambda_negative=1.0)),
        {
            "loss_type": "vespo",
            "vespo_k_pos": 1.0,
            "vespo_lambda_pos": 2.0,
            "vespo_k_neg": 2.0,
            "vespo_lambda_neg": 1.0,
        },
    ),
    Twin("GSPO's ratio", (SequenceRatio(),), {"importance_sampling_level": "sequence"}),
    Twin(
        "GSPO",
        (SequenceRatio(), SequenceClip(low=3e-3, high=4e-3)),
        {"importance_sampling_level": "sequence", "epsilon": 3e-3, "epsilon_high": 4e-3},
    ),
    Twin(
        "LUSPO",
        (SequenceRatio(), SequenceClip(low=2e-3, high=2.5e-3), SequenceSum()),
        {"loss_type": "luspo", "importance_sampling_level": "sequence", "epsilon": 2e-3, "epsilon_high": 2.5e-3},
    ),
    Twin("LUSPO of tokens", (SequenceSum(),), {"loss_type": "luspo"}),
    Twin("delta", (RatioCap(delta=1.3),), {"delta": 1.3}),
    Twin("delta is dual clip", (DualClip(cap=1.3),), {"delta": 1.3}),
    Twin(
        "80/20",  # TRL also narrows the entropy bonus to the kept tokens; the mechanism is about the policy's gradient
        (TopEntropyTokens(),),
        {"top_entropy_quantile": 0.2},
        shared={"entropy_coef": 0.0},
    ),
    Twin("off-policy mask", (OffPolicyMask(threshold=0.01),), {"off_policy_mask_threshold": 0.01}),
    Twin("bias-corrected KL", (BiasCorrectedKl(),), {"use_bias_correction_kl": True}),
    Twin(
        "bias-corrected KL of a sequence",
        (SequenceRatio(), BiasCorrectedKl()),
        {"use_bias_correction_kl": True, "importance_sampling_level": "sequence"},
    ),
    Twin("no KL", (KlScale(factor=0.0),), {"beta": 0.0}),
    Twin("no entropy bonus", (EntropyBonusScale(factor=0.0),), {"entropy_coef": 0.0}),
    Twin(
        "adaptive entropy",
        (AdaptiveEntropy(target=3.08, step=0.005),),
        {**ADAPTIVE, "entropy_coef": 0.005},
    ),
    Twin("batch std", (BatchStd(),), {"scale_rewards": "batch"}),
    Twin("no std", (NoStd(),), {"scale_rewards": "none"}),
    Twin("GDPO", (PartNormalization(),), {"multi_objective_aggregation": "normalize_then_sum"}),
    Twin(
        "GMPO",
        (GeometricMeanRatio(low=0.1, high=0.1),),
        {"epsilon": 0.1, "epsilon_high": 0.1},
        shared={"entropy_coef": 0.0},
        trl=GMPOTrainer,
        not_bit_equal="TRL means KL over tokens and adds it to a row's loss; ours adds a row's loss to each token",
    ),
)
