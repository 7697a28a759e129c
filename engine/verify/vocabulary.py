"""The words in which a candidate may say what it is meant to do, and how each is measured. Free of torch.

`Algorithm(claims=("raises_rare_successes",))` declares one; engine/verify/claims.py confirms or refutes it by number.
Gradients are compared as shares of their own total, because Adam removes a common factor.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from engine.errors import PoiseError


@dataclass(frozen=True)
class Wording:
    """One measurable claim in words."""

    id: str
    sentence: str
    """What the algorithm does that GRPO does not."""
    how: str
    """What is measured, and which number makes it hold."""


_WORDS = (
    # Which rows and groups carry the gradient.
    Wording(
        "raises_rare_successes",
        "The one success in a group of eight carries a larger share of the policy gradient than under GRPO.",
        "share of the gradient's L1 mass in a batch of groups with 1, 4 and 7 of 8 solved; at least 1.05 times GRPO's",
    ),
    Wording(
        "silent_on_all_fail",
        "Groups without a success get no policy gradient, even where their rewards differ by style.",
        "their share of the gradient's L1 mass beside a solved and two mixed groups; at most 0.01",
    ),
    Wording(
        "pushes_down_all_fail",
        "Groups without a success are made less likely as a whole.",
        "net downward push on an all-fail group of equal rewards, as a share of all L1 mass; at least 0.01",
    ),
    Wording(
        "silent_on_all_pass",
        "Groups without a failure get no policy gradient, even where their rewards differ by style.",
        "their share of the gradient's L1 mass beside a failed and two mixed groups; at most 0.01",
    ),
    Wording(
        "lifts_all_pass",
        "Groups without a failure are made more likely as a whole.",
        "net upward push on an all-pass group of equal rewards, as a share of all L1 mass; at least 0.01",
    ),
    Wording(
        "stronger_on_successes",
        "Successes carry more of the policy gradient than failures do.",
        "share of successes in the L1 mass of groups with 1, 4 and 7 of 8 solved; at least 1.05 times GRPO's half",
    ),
    Wording(
        "stronger_on_failures",
        "Failures carry more of the policy gradient than successes do.",
        "share of failures in the L1 mass of groups with 1, 4 and 7 of 8 solved; at least 1.05 times GRPO's half",
    ),
    Wording(
        "no_std_division",
        "Groups whose rewards spread more weigh more: advantages are not divided by the group's deviation.",
        "mean |advantage| of a half-solved group over that of one with half its rewards; at least 1.9 (GRPO 1)",
    ),
    Wording(
        "bounded_advantages",
        "The largest advantage of a batch stands out less from the average one than under GRPO.",
        "largest over mean |advantage|, groups with 1, 4 and 7 of 8 solved; at most 0.95 times GRPO's",
    ),
    # Length, truncation, validity.
    Wording(
        "penalises_length",
        "Of two rows of equal outcome the longer one gets the lower advantage, by more than GRPO's rewards ask.",
        "advantage of 60-token minus 20-token rows, in units of success minus failure; at least 0.05 below GRPO's, "
        "with or without a brevity part in the reward",
    ),
    Wording(
        "rewards_length",
        "Of two rows of equal outcome the longer one gets the higher advantage.",
        "advantage of 60-token minus 20-token rows, in units of success minus failure; at least +0.05, "
        "with or without a brevity part in the reward",
    ),
    Wording(
        "length_only_when_correct",
        "Length moves the advantage of correct rows and not that of wrong ones.",
        "(c - w) / (c + w), c and w how far 40 more tokens move correct and wrong rows; at least 0.9, "
        "with or without a brevity part in the reward",
    ),
    Wording(
        "penalises_truncated",
        "A wrong row that was cut at the length limit gets a lower advantage than the same row ended at half of it.",
        "change of its advantage in units of the mean |advantage|; at most -0.05",
    ),
    Wording(
        "ignores_truncated",
        "Rows cut at the length limit get no policy gradient.",
        "L1 mass of a row that was cut, over that of an average row; at most 0.05",
    ),
    Wording(
        "penalises_invalid",
        "A wrong row that cannot be read gets a lower advantage than the same row if it can.",
        "change of its advantage, all else equal, in units of the mean |advantage|; at most -0.05",
    ),
    Wording(
        "ignores_invalid",
        "Rows that cannot be read get no policy gradient.",
        "L1 mass of an invalid row over that of an average row; at most 0.05",
    ),
    # Off-policy: ratios and clipping.
    Wording(
        "keeps_gradient_of_clipped_tokens",
        "Tokens beyond GRPO's clip keep some policy gradient.",
        "L1 mass of tokens of ratio 1.5 in correct and 0.6 in wrong rows, over that at ratio 1; at least 0.05 (GRPO 0)",
    ),
    Wording(
        "bounds_extreme_ratios",
        "Tokens of a wrong row that became e^6 = 403 times likelier do not swamp the others.",
        "their L1 mass over that at ratio 1; at most 40 (GRPO 403)",
    ),
    Wording(
        "sequence_level_ratio",
        "All tokens of a row are weighed by one ratio, which still tells rows apart.",
        "spread of the gradient over the tokens of a row, over its spread between rows; at most 0.05",
    ),
    Wording(
        "distrusts_off_policy_rows",
        "A row of which half the tokens drifted by e^1.5 loses weight on its other tokens too.",
        "L1 mass of its unmoved tokens over that in a row that did not drift; at most 0.5, one outcome and direction",
    ),
    # Tokens and rows.
    Wording(
        "favours_uncertain_tokens",
        "In successful rows uncertain tokens take a larger share of the policy gradient than under GRPO.",
        "share of the more uncertain half of the tokens (entropy 1.5 against 0.1); at least 1.05 times GRPO's half",
    ),
    Wording(
        "long_rows_weigh_more",
        "A long row carries more policy gradient than a short one of equal outcome.",
        "share of 12-token rows in the L1 mass of 4- and 12-token rows; at least 1.05 times GRPO's half",
    ),
    # What is added to the policy gradient.
    Wording(
        "weakens_kl",
        "The pull to the reference is weaker, against the policy gradient, than under GRPO.",
        "share of the KL penalty in the L1 mass of both; at most 0.8 times GRPO's in each of two regimes",
    ),
    Wording(
        "strengthens_kl",
        "The pull to the reference is stronger, against the policy gradient, than under GRPO.",
        "share of the KL penalty in the L1 mass of both; at least 1.2 times GRPO's in each of two regimes",
    ),
    Wording(
        "weakens_entropy_bonus",
        "The entropy bonus is weaker, against the policy gradient, than under GRPO.",
        "share of the entropy's gradient in the L1 mass of both; at most 0.8 times GRPO's in each of two regimes",
    ),
    Wording(
        "strengthens_entropy_bonus",
        "The entropy bonus is stronger, against the policy gradient, than under GRPO.",
        "share of the entropy's gradient in the L1 mass of both; at least 1.2 times GRPO's in each of two regimes",
    ),
    Wording(
        "adapts_entropy_bonus",
        "The entropy bonus is larger after updates with low entropy than after updates with high entropy.",
        "(l - h) / (l + h), l and h its L1 mass after ten updates with entropy 0.01 and 5; at least 0.1 (GRPO 0)",
    ),
)

WORDINGS: dict[str, Wording] = {w.id: w for w in _WORDS}
"""Every claim by id, in the order in which a reader should meet them."""


def wording(claim: str) -> Wording:
    """The words of one claim.

    Raises:
        PoiseError: there is no such claim; the line names the nearest ones.
    """
    if claim not in WORDINGS:
        near = difflib.get_close_matches(claim, WORDINGS, n=3, cutoff=0.5)
        told = f"did you mean {' or '.join(near)}?" if near else f"claims are {', '.join(WORDINGS)}"
        raise PoiseError(f"there is no claim {claim!r}; {told}")
    return WORDINGS[claim]
