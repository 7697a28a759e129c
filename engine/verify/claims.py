"""Does an algorithm do what it claims? Each claim of the vocabulary is one figure, compared with GRPO's own.

GRPO refutes every claim: they say what a change to it does. Figures are in measures.py, what they are
measured on in scenes.py, words in vocabulary.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from engine.contract import Algorithm
from engine.verify import measures
from engine.verify.vocabulary import WORDINGS, wording

Figure = Callable[[Algorithm], dict[str, float]]
"""One figure by regime; the regimes are the same for every algorithm."""


@dataclass(frozen=True)
class Measurement:
    """One claim, measured."""

    value: float
    """NaN where the algorithm leaves nothing to measure."""
    reference: float
    """GRPO's figure in the same regime."""
    holds: bool
    regime: str
    """Where it was measured: the regime that decided, if there are several."""
    bound: float
    """What the value had to reach."""
    upward: bool
    """Whether it had to be at least the bound, or at most."""

    @property
    def text(self) -> str:
        """Expected and found, in one line."""
        found = "nothing to measure" if math.isnan(self.value) else f"{self.value:.3g}"
        wanted = f"at {'least' if self.upward else 'most'} {self.bound:.3g}"
        return f"{found}, expected {wanted} (GRPO {self.reference:.3g}); {self.regime}"

    def document(self) -> dict[str, Any]:
        """As JSON; null for NaN."""
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Rule:
    """When a figure confirms its claim."""

    bound: Callable[[float], float]
    """From GRPO's figure to what must be reached."""
    upward: bool = True
    """Whether larger figures confirm."""
    everywhere: bool = True
    """Whether all regimes must confirm, or one is enough."""


@dataclass(frozen=True)
class Claim:
    """One thing that a candidate may say of itself."""

    id: str
    sentence: str
    figure: Figure
    rule: Rule

    def measure(self, algorithm: Algorithm) -> Measurement:
        """Confirm or refute it."""
        found, reference = self.figure(algorithm), _grpo(self.figure)
        sign = 1.0 if self.rule.upward else -1.0

        def margin(regime: str) -> float:
            gap = sign * (found[regime] - self.rule.bound(reference[regime]))
            return -math.inf if math.isnan(gap) else gap

        decides = (min if self.rule.everywhere else max)(found, key=margin)
        bound = self.rule.bound(reference[decides])
        holds = margin(decides) >= 0
        return Measurement(found[decides], reference[decides], holds, decides, bound, self.rule.upward)


def check(algorithm: Algorithm, claim: str) -> Measurement:
    """Measure one claim on one algorithm; milliseconds.

    Raises:
        PoiseError: there is no such claim; the line names the nearest ones.
    """
    return VOCABULARY[wording(claim).id].measure(algorithm)


def _times(factor: float) -> Rule:
    return Rule(lambda grpo: factor * grpo, upward=factor > 1)


def _at_least(value: float, everywhere: bool = True) -> Rule:
    return Rule(lambda grpo: value, everywhere=everywhere)


def _at_most(value: float, everywhere: bool = True) -> Rule:
    return Rule(lambda grpo: value, upward=False, everywhere=everywhere)


@cache
def _grpo(figure: Figure) -> dict[str, float]:
    return figure(Algorithm("GRPO"))


_MEASURED: dict[str, tuple[Figure, Rule]] = {
    "raises_rare_successes": (measures.rare_successes, _times(1.05)),
    "silent_on_all_fail": (measures.all_fail, _at_most(0.01)),
    "pushes_down_all_fail": (measures.all_fail_down, _at_least(0.01)),
    "silent_on_all_pass": (measures.all_pass, _at_most(0.01)),
    "lifts_all_pass": (measures.all_pass_up, _at_least(0.01)),
    "stronger_on_successes": (measures.successes, _times(1.05)),
    "stronger_on_failures": (measures.failures, _times(1.05)),
    "no_std_division": (measures.spread_counts, _at_least(1.9)),
    "bounded_advantages": (measures.peak, _times(0.95)),
    "penalises_length": (measures.length_tilt, Rule(lambda grpo: grpo - 0.05, upward=False, everywhere=False)),
    "rewards_length": (measures.length_tilt, _at_least(0.05, everywhere=False)),
    "length_only_when_correct": (measures.length_of_correct, _at_least(0.9, everywhere=False)),
    "penalises_truncated": (measures.truncated_change, _at_most(-0.05)),
    "ignores_truncated": (measures.truncated_mass, _at_most(0.05)),
    "penalises_invalid": (measures.invalid_change, _at_most(-0.05)),
    "ignores_invalid": (measures.invalid_mass, _at_most(0.05)),
    "keeps_gradient_of_clipped_tokens": (measures.clipped_tokens, _at_least(0.05)),
    "bounds_extreme_ratios": (measures.extreme_tokens, _at_most(40.0)),
    "sequence_level_ratio": (measures.token_spread, _at_most(0.05)),
    "distrusts_off_policy_rows": (measures.drifted_rows, _at_most(0.5, everywhere=False)),
    "favours_uncertain_tokens": (measures.uncertain_tokens, _times(1.05)),
    "long_rows_weigh_more": (measures.long_rows, _times(1.05)),
    "weakens_kl": (measures.kl_share, _times(0.8)),
    "strengthens_kl": (measures.kl_share, _times(1.2)),
    "weakens_entropy_bonus": (measures.entropy_share, _times(0.8)),
    "strengthens_entropy_bonus": (measures.entropy_share, _times(1.2)),
    "adapts_entropy_bonus": (measures.entropy_reaction, _at_least(0.1)),
}

VOCABULARY: dict[str, Claim] = {name: Claim(name, WORDINGS[name].sentence, *_MEASURED[name]) for name in WORDINGS}
"""Every claim by id, in the order of vocabulary.py."""
