"""An algorithm from the arguments of TRL's GRPOConfig (1.16): which mechanisms of the library ask for the same.

Each setting's mechanism is a twin that tests hold bit-equal to TRL, free-running (tests/training/twins.py). What no
mechanism does is refused by name, and never left out in silence; what belongs to a profile is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.algorithms.catalogue import MechanismChoice, Param, catalogue
from engine.errors import Exit, PoiseError

DEFAULTS: dict[str, Any] = {
    "loss_type": "dapo",
    "beta": 0.0,
    "epsilon": 0.2,
    "epsilon_high": None,
    "delta": None,
    "entropy_coef": 0.0,
    "scale_rewards": "group",
    "importance_sampling_level": "token",
    "use_bias_correction_kl": True,
    "top_entropy_quantile": 1.0,
    "off_policy_mask_threshold": None,
    "multi_objective_aggregation": "sum_then_normalize",
    "sapo_temperature_pos": 1.0,
    "sapo_temperature_neg": 1.05,
    "vespo_k_pos": 2.0,
    "vespo_lambda_pos": 3.0,
    "vespo_k_neg": 3.0,
    "vespo_lambda_neg": 2.0,
    "mask_truncated_completions": False,
    "use_adaptive_entropy": False,
    "sync_ref_model": False,
}
"""TRL's defaults of every argument that changes the algorithm; a config that leaves one out means this."""
REFUSED = {
    "mask_truncated_completions": "TRL keeps such rows in the denominator; the nearest mechanism is DropTruncated",
    "use_adaptive_entropy": "its bounds have no place in a mechanism; the nearest one is AdaptiveEntropy",
    "sync_ref_model": "a moving reference is out of scope",
}
"""Arguments without a twin, and why."""
LOSSES: dict[str, tuple[str, ...]] = {
    "grpo": (),
    "dr_grpo": ("ConstantLength",),
    "dapo": ("TokenMean",),
    "bnpo": ("LocalTokenMean",),
    "luspo": ("SequenceSum",),
    "cispo": ("TokenMean",),
    "sapo": (),
    "vespo": ("TokenMean",),
}
"""How each loss_type adds up."""
CLIPPED = ("grpo", "dr_grpo", "dapo", "bnpo", "luspo")
"""Those with PPO's surrogate."""
MOST_BYTES = 1 << 18


@dataclass(frozen=True)
class Imported:
    """What a config means.

    Attributes:
        mechanisms: besides GRPO.
        elsewhere: arguments that belong to a profile, or to the machine.
    """

    mechanisms: tuple[MechanismChoice, ...]
    elsewhere: tuple[str, ...]


def read_config(path: Path) -> dict[str, Any]:
    """The arguments in a YAML or JSON file; unset ones (null) are left out.

    Raises:
        PoiseError: wrong usage (2), it cannot be read, or holds no table of arguments.
    """
    try:
        with path.open("rb") as file:
            found = yaml.safe_load(file.read(MOST_BYTES))
    except OSError as error:
        raise PoiseError(f"{path}: {error.strerror}", Exit.USAGE) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise PoiseError(f"{path} is neither YAML nor JSON: {' '.join(str(error).split())}", Exit.USAGE) from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise PoiseError(f"{path} holds no arguments of a GRPOConfig, as `loss_type: dapo`", Exit.USAGE)
    return {key: _number(value) for key, value in found.items()}


def _number(value: Any) -> Any:
    """YAML 1.1 takes 1e-3 for a text, and people write it."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def from_trl(config: Mapping[str, Any], train: Mapping[str, Any]) -> Imported:
    """The mechanisms that make GRPO what a config asks of TRL.

    Args:
        config: arguments of a GRPOConfig.
        train: the profile's table: `beta`, `entropy_coef` and `clip_epsilon` of the root.

    Raises:
        PoiseError: wrong usage (2), an argument that has no twin, or a value that TRL does not know.
    """
    s = {key: config[key] if config.get(key) is not None else default for key, default in DEFAULTS.items()}
    for key, why in REFUSED.items():
        if s[key] != DEFAULTS[key]:
            raise PoiseError(f"{key} = {s[key]!r} cannot be imported: {why}", Exit.USAGE)
    for key, default in DEFAULTS.items():
        if isinstance(default, float) and (isinstance(s[key], bool) or not isinstance(s[key], (int, float))):
            raise PoiseError(f"{key} = {s[key]!r}: give a number", Exit.USAGE)
    if s["loss_type"] not in LOSSES:
        raise PoiseError(f"loss_type = {s['loss_type']!r}: there are {', '.join(LOSSES)}", Exit.USAGE)
    chosen = [*_advantages(s), *_choices(*LOSSES[s["loss_type"]]), *_surrogate(s, train), *_penalties(s, train)]
    elsewhere = tuple(f"{key} = {value!r}" for key, value in config.items() if key not in DEFAULTS)
    return Imported(tuple(chosen), elsewhere)


def _advantages(s: Mapping[str, Any]) -> list[MechanismChoice]:
    scale = {True: "group", False: "none"}.get(s["scale_rewards"], s["scale_rewards"])
    scales = {"group": (), "batch": ("BatchStd",), "none": ("NoStd",)}
    parts = {"sum_then_normalize": (), "normalize_then_sum": ("PartNormalization",)}
    found = _choices(*_one_of("scale_rewards", scale, scales))
    found += _choices(*_one_of("multi_objective_aggregation", s["multi_objective_aggregation"], parts))
    if len(found) > 1:
        raise PoiseError("normalize_then_sum with another scale_rewards than group cannot be imported", Exit.USAGE)
    return found


def _surrogate(s: Mapping[str, Any], train: Mapping[str, Any]) -> list[MechanismChoice]:
    loss, low = s["loss_type"], float(s["epsilon"])
    high = low if s["epsilon_high"] is None else float(s["epsilon_high"])
    levels = {"token": (), "sequence": ("SequenceRatio",)}
    found = _choices(*_one_of("importance_sampling_level", s["importance_sampling_level"], levels))
    if loss == "cispo":
        found.append(_choice("ClippedWeight", cap=high))
    elif loss == "sapo":
        taus = {"tau_positive": s["sapo_temperature_pos"], "tau_negative": s["sapo_temperature_neg"]}
        found.append(_choice("SoftGate", **taus))
    elif loss == "vespo":
        sides = (("positive", "pos"), ("negative", "neg"))
        shapes = {f"{what}_{ours}": s[f"vespo_{what}_{trl}"] for what in ("k", "lambda") for ours, trl in sides}
        found.append(_choice("GammaWeight", **shapes))
    elif (low, high) != (train["clip_epsilon"],) * 2:
        found.append(_choice("SequenceClip" if found else "ClipHigher", low=low, high=high))
    if s["delta"] is not None and loss in CLIPPED:
        found.append(_choice("RatioCap", delta=s["delta"]))
    if s["top_entropy_quantile"] < 1.0:
        if s["entropy_coef"]:
            raise PoiseError(
                "top_entropy_quantile with an entropy_coef cannot be imported: TRL narrows both", Exit.USAGE
            )
        found.append(_choice("TopEntropyTokens", share=s["top_entropy_quantile"]))
    if s["off_policy_mask_threshold"] is not None:
        found.append(_choice("OffPolicyMask", threshold=s["off_policy_mask_threshold"]))
    return found


def _penalties(s: Mapping[str, Any], train: Mapping[str, Any]) -> list[MechanismChoice]:
    found = []
    for key, name in (("beta", "KlScale"), ("entropy_coef", "EntropyBonusScale")):
        wanted, there = float(s[key]), float(train[key])
        if wanted != there:
            if not there:
                raise PoiseError(f"{key} = {wanted:g}, and the profile's root has none: give it one there", Exit.USAGE)
            found.append(_choice(name, factor=wanted / there))
    if s["beta"] and s["use_bias_correction_kl"]:
        found.append(_choice("BiasCorrectedKl"))
    return found


def _one_of(key: str, value: Any, known: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    if value not in known:
        raise PoiseError(f"{key} = {value!r}: there are {', '.join(known)}", Exit.USAGE)
    return known[value]


def _choices(*names: str) -> list[MechanismChoice]:
    return [_choice(name) for name in names]


def _choice(name: str, **params: Param) -> MechanismChoice:
    entry = catalogue()[name]
    for key, value in params.items():
        low, high = entry.ranges.get(key, (float("-inf"), float("inf")))
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise PoiseError(f"{name}.{key} would be {value!r}: it goes from {low:g} to {high:g}", Exit.USAGE)
    return entry.choice(**{key: float(value) for key, value in params.items()})
