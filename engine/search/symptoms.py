"""What a training may suffer from: how curves show it, what it means, which library mechanisms act on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from engine.search.curves import Curves


@dataclass(frozen=True)
class Symptom:
    """Something to look for in the curves, what it means, and which library mechanisms act on it."""

    name: str
    present: Callable[[Curves], bool]
    figures: Callable[[Curves], str]
    meaning: str
    remedies: tuple[str, ...]


def _end(curves: Curves, name: str) -> float:
    trend = curves.trends.get(name)
    return trend.end if trend is not None else math.nan


def _change(curves: Curves, name: str) -> float:
    trend = curves.trends.get(name)
    return trend.change if trend is not None else math.nan


def _start(curves: Curves, name: str) -> float:
    trend = curves.trends.get(name)
    return trend.start if trend is not None else math.nan


def _told(*names: str) -> Callable[[Curves], str]:
    return lambda c: ", ".join(f"{plain(n)} {c.trends[n]}" for n in names if c.trends.get(n) is not None)


SYMPTOMS = (
    Symptom(
        "reward rises, correctness does not",
        lambda c: _change(c, "reward") > 0.02 and _change(c, "correct") < 0.005,
        _told("reward", "correct"),
        "the policy earns parts of the reward that wrong answers earn too",
        ("CorrectnessGate", "PartNormalization", "SilenceAllFail"),
    ),
    Symptom(
        "many groups fail altogether",
        lambda c: c.means.get("all_fail", 0.0) > 0.3,
        lambda c: f"all-fail groups {c.means['all_fail']:.0%} on average",
        "their advantages rank style, not outcome, and the rare successes elsewhere are diluted",
        ("SilenceAllFail", "DropUniform", "MeanScale", "HardPromptWeight"),
    ),
    Symptom(
        "many groups pass altogether",
        lambda c: c.means.get("all_pass", 0.0) > 0.3,
        lambda c: f"all-pass groups {c.means['all_pass']:.0%} on average",
        "solved prompts take a share of every batch",
        ("DropUniform", "HardPromptWeight"),
    ),
    Symptom(
        "entropy collapses",
        lambda c: _end(c, "entropy") < 0.5 * _start(c, "entropy"),
        _told("entropy"),
        "exploration ends early; what is not yet sampled is never learned",
        ("ClipHigher", "AdaptiveEntropy", "EntropyBonusScale", "NegativeWeight"),
    ),
    Symptom(
        "far from the reference",
        lambda c: _end(c, "kl") > 0.5,
        _told("kl"),
        "the policy left the reference; gains may not carry over",
        ("KlScale", "SequenceRatio", "OffPolicyMask"),
    ),
    Symptom(
        "responses shrink",
        lambda c: _end(c, "length") < 0.75 * _start(c, "length"),
        _told("length", "correct"),
        "short answers pay more than right ones where the work is skipped",
        ("CorrectnessGate", "SolvedLengthPenalty", "TokenMean"),
    ),
    Symptom(
        "responses grow",
        lambda c: _end(c, "length") > 1.3 * _start(c, "length"),
        _told("length", "truncated"),
        "length is rewarded or not paid for",
        ("SoftOverlong", "ConstantLength", "SolvedLengthPenalty"),
    ),
    Symptom(
        "many responses are cut",
        lambda c: _end(c, "truncated") > 0.1,
        _told("truncated"),
        "cut answers are punished for what they did not get to say",
        ("DropTruncated", "SoftOverlong"),
    ),
    Symptom(
        "answers stay unreadable",
        lambda c: _end(c, "invalid") > 0.1,
        _told("invalid"),
        "validity is mixed up with correctness in one reward",
        ("ValidityMask", "InvalidPenalty"),
    ),
    Symptom(
        "the clip is busy",
        lambda c: c.means.get("clip_fraction", 0.0) > 0.15,
        lambda c: f"clip fraction {c.means['clip_fraction']:.2f} on average",
        "many tokens lose their gradient to the clip",
        ("ClippedWeight", "SoftGate", "ClipHigher"),
    ),
    Symptom(
        "gradient spikes",
        lambda c: len(c.spikes) > 0,
        lambda c: f"{len(c.spikes)} spikes of the gradient norm, first at update {c.spikes[0]}",
        "single updates move the policy by far more than the others",
        ("AdvantageClip", "FlooredStd", "DualClip", "SequenceRatio"),
    ),
    Symptom(
        "little is learned",
        lambda c: abs(_change(c, "correct")) < 0.01 and abs(_change(c, "reward")) < 0.02,
        _told("reward", "correct"),
        "the signal is weak or cancels out",
        ("NoStd", "BatchStd", "MeanScale", "KlScale"),
    ),
)


def symptoms(curves: Curves | None) -> list[Symptom]:
    """Those that a training shows; none without curves."""
    return [s for s in SYMPTOMS if s.present(curves)] if curves is not None and curves.updates else []


def plain(name: str) -> str:
    """A curve's name in words."""
    return name.replace("_", " ")
