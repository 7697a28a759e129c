"""What claims measure: one figure that shows what an algorithm makes of a scene.

Each measure takes an algorithm and gives one figure by regime, free of scale: a share of the gradient's L1 mass, or a
relative change. A figure that cannot be formed, because nothing is left to compare with, is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm, StepStats
from engine.verify.behave import SEED, behave
from engine.verify.case import Case
from engine.verify.scenes import (
    LONG,
    SIZE,
    bare,
    graded,
    invalidity,
    regularized,
    scene,
    short_and_long,
    truncation,
    uniform,
)

UPDATES = 10
"""After which a controller must have reacted."""
NOTHING = 1e-12


def rare_successes(algorithm: Algorithm) -> dict[str, float]:
    """Share of the one success in eight."""
    mass = _mass(algorithm, graded())
    return {"groups with 1, 4 and 7 of 8 solved": _ratio(mass[0].sum(), mass.sum())}


def successes(algorithm: Algorithm) -> dict[str, float]:
    """Share of all correct rows."""
    case = graded()
    mass = _mass(algorithm, case)
    return {"groups with 1, 4 and 7 of 8 solved": _ratio(mass[case.correct].sum(), mass.sum())}


def failures(algorithm: Algorithm) -> dict[str, float]:
    """Share of all wrong rows."""
    return {name: 1.0 - share for name, share in successes(algorithm).items()}


def all_fail(algorithm: Algorithm) -> dict[str, float]:
    """Share of an all-fail group."""
    return _uniform_share(algorithm, 0)


def all_pass(algorithm: Algorithm) -> dict[str, float]:
    """Share of an all-pass group."""
    return _uniform_share(algorithm, 1)


def all_fail_down(algorithm: Algorithm) -> dict[str, float]:
    """Net downward push on an all-fail group of equal rewards."""
    return {name: 0.0 - share for name, share in _uniform_net(algorithm, 0).items()}


def all_pass_up(algorithm: Algorithm) -> dict[str, float]:
    """Net upward push on an all-pass group of equal rewards."""
    return _uniform_net(algorithm, 1)


def spread_counts(algorithm: Algorithm) -> dict[str, float]:
    """Mean advantage of a half-solved group over that of one with half its rewards."""
    case = scene((4, 4), correct_worth=torch.tensor([1.0, 0.5]).repeat_interleave(SIZE))
    a = _row_advantages(algorithm, case).abs()
    return {"two half-solved groups, one with half the rewards": _ratio(a[:SIZE].mean(), a[SIZE:].mean())}


def peak(algorithm: Algorithm) -> dict[str, float]:
    """Largest advantage over the mean one."""
    a = _row_advantages(algorithm, graded()).abs()
    return {"groups with 1, 4 and 7 of 8 solved": _ratio(a.max(), a.mean())}


def length_tilt(algorithm: Algorithm) -> dict[str, float]:
    """What 40 more tokens are worth, mean of correct and wrong rows."""
    return {name: (c + w) / 2 for name, (c, w) in _tilts(algorithm).items()}


def length_of_correct(algorithm: Algorithm) -> dict[str, float]:
    """(c - w) / (c + w): 1 where length moves correct rows only, -1 where it moves wrong ones only."""
    tilts = {name: (abs(c), abs(w)) for name, (c, w) in _tilts(algorithm).items()}
    return {name: (c - w) / (c + w) if c + w > 0.02 else 0.0 for name, (c, w) in tilts.items()}


def truncated_change(algorithm: Algorithm) -> dict[str, float]:
    """Change of a wrong row's advantage when it is cut at the limit."""
    return {"one wrong row of each group cut at the limit": _change(algorithm, *truncation())}


def truncated_mass(algorithm: Algorithm) -> dict[str, float]:
    """Mass of a row that was cut over that of an average row."""
    case = truncation()[1]
    return {"one wrong row of each group cut at the limit": _row_share(algorithm, case, case.truncated)}


def invalid_change(algorithm: Algorithm) -> dict[str, float]:
    """Change of a wrong row's advantage when it cannot be read."""
    return {"one wrong row of each group cannot be read": _change(algorithm, *invalidity())}


def invalid_mass(algorithm: Algorithm) -> dict[str, float]:
    """Mass of a row that cannot be read over that of an average row."""
    case = invalidity()[1]
    return {"one wrong row of each group cannot be read": _row_share(algorithm, case, ~case.valid)}


def clipped_tokens(algorithm: Algorithm) -> dict[str, float]:
    """Mass of tokens that GRPO clips, over their own where they did not move."""
    correct = scene((4, 4)).correct.unsqueeze(1)
    drift = torch.where(correct, math.log(1.5), math.log(0.6)) * (torch.arange(8) < 2)
    moved, unmoved = (_mass(algorithm, scene((4, 4), drift=x))[:, :2] for x in (drift, 0 * drift))
    return {"two tokens of each row beyond the clip": _ratio(moved.sum(), unmoved.sum())}


def extreme_tokens(algorithm: Algorithm) -> dict[str, float]:
    """Mass of a wrong row's tokens that became e^6 times likelier, over their own where they did not move."""
    wrong = ~scene((4, 6)).correct
    drift = 6.0 * wrong.double().unsqueeze(1) * (torch.arange(8) < 2)
    moved, unmoved = (_mass(algorithm, scene((4, 6), drift=x))[wrong, :2] for x in (drift, 0 * drift))
    return {"two tokens of each wrong row e^6 times likelier": _ratio(moved.sum(), unmoved.sum())}


def token_spread(algorithm: Algorithm) -> dict[str, float]:
    """Spread of the gradient in a row over its spread between rows of one outcome; drifts stay inside the clip."""
    rows = torch.tensor([-0.08, -0.03, 0.03, 0.08], dtype=torch.float64).repeat(4)
    tokens = torch.tensor([0.08, -0.08, 0.04, -0.04], dtype=torch.float64).repeat(2)
    drift = rows.unsqueeze(1) + tokens
    case = scene((4, 4), drift=drift, entropy=torch.full_like(drift, 0.5))
    mass = _mass(algorithm, case)
    within = (mass.std(1) / mass.mean(1).clamp(min=NOTHING)).mean()
    means = torch.stack([mass.mean(1)[case.correct], mass.mean(1)[~case.correct]])
    between = (means.std(1) / means.mean(1).clamp(min=NOTHING)).mean()
    return {"tokens and rows that drifted a little": _ratio(within, between)}


def drifted_rows(algorithm: Algorithm) -> dict[str, float]:
    """Mass of unmoved tokens in rows whose other half drifted, over that in rows that did not."""
    way = torch.tensor([-1.5, 1.5], dtype=torch.float64).repeat_interleave(SIZE).unsqueeze(1)
    moved = (torch.arange(2 * SIZE) % 2 == 0).unsqueeze(1)
    case = scene((4, 4), drift=way * moved * (torch.arange(8) >= 4))
    mass = _mass(algorithm, case)[:, :4].mean(1)
    found = {}
    for outcome, rows in (("correct", case.correct), ("wrong", ~case.correct)):
        for direction, group in (("less likely", way[:, 0] < 0), ("likelier", way[:, 0] > 0)):
            here = rows & group
            share = _ratio(mass[here & moved[:, 0]].mean(), mass[here & ~moved[:, 0]].mean())
            found[f"half the tokens of some {outcome} rows {direction}"] = share
    return found


def uncertain_tokens(algorithm: Algorithm) -> dict[str, float]:
    """Share of the more uncertain half of the tokens in correct rows."""
    case = scene((4, 4))
    uncertain = case.entropy > 0.8
    mass = _mass(algorithm, case)[case.correct]
    return {"half of the tokens uncertain": _ratio(mass[uncertain[case.correct]].sum(), mass.sum())}


def long_rows(algorithm: Algorithm) -> dict[str, float]:
    """Share of long rows, mean over outcomes."""
    case = scene((4, 4), lengths=torch.tensor([4.0, 12.0], dtype=torch.float64).repeat(SIZE), limit=16)
    mass = _mass(algorithm, case).sum(1)
    shares = [_ratio(mass[rows & (case.lengths > 8)].sum(), mass[rows].sum()) for rows in (case.correct, ~case.correct)]
    return {"rows of 4 and of 12 tokens": _mean([s for s in shares if not math.isnan(s)])}


def kl_share(algorithm: Algorithm) -> dict[str, float]:
    """Share of the KL penalty in the mass of policy gradient and penalty."""
    found = {}
    for case in regularized():
        policy = behave(algorithm, bare(case)).grad_logp
        pull = behave(algorithm, replace(case, hyper=replace(case.hyper, entropy_coef=0.0))).grad_logp - policy
        found[case.name] = _ratio(pull.abs().sum(), pull.abs().sum() + policy.abs().sum())
    return found


def entropy_share(algorithm: Algorithm) -> dict[str, float]:
    """Share of the entropy's gradient in the mass of policy gradient and entropy's."""
    found = {}
    for case in regularized():
        policy = behave(algorithm, bare(case)).grad_logp.abs().sum()
        bonus = behave(algorithm, case).grad_entropy.abs().sum()
        found[case.name] = _ratio(bonus, bonus + policy)
    return found


def entropy_reaction(algorithm: Algorithm) -> dict[str, float]:
    """(l - h) / (l + h), l and h the mass of the entropy's gradient after updates with low and high entropy."""
    case = regularized()[0]
    mass = []
    for entropy in (0.01, 5.0):
        pipeline = Pipeline(algorithm, SEED)
        for step in range(1, UPDATES + 1):
            progress = step / (2 * UPDATES)
            pipeline.on_optimizer_step(StepStats(step, progress, 0.5, 0.3, entropy, 0.01, 8.0, 0.1, 1.0))
        mass.append(behave(algorithm, case, pipeline=pipeline).grad_entropy.abs().sum().item())
    low, high = mass
    return {case.name: (low - high) / (low + high) if low + high > NOTHING else 0.0}


def _uniform_share(algorithm: Algorithm, group: int) -> dict[str, float]:
    found = {}
    for name, styled in (("rewards differ by style", True), ("rewards differ by outcome only", False)):
        mass = _mass(algorithm, uniform(styled))
        found[name] = _ratio(mass[group * SIZE : (group + 1) * SIZE].sum(), mass.sum())
    return found


def _uniform_net(algorithm: Algorithm, group: int) -> dict[str, float]:
    push = _push(algorithm, uniform(styled=False))
    net = push[group * SIZE : (group + 1) * SIZE].sum()
    return {"rewards differ by outcome only": _ratio(net, push.abs().sum())}


def _tilts(algorithm: Algorithm) -> dict[str, tuple[float, float]]:
    """Advantage of long minus short rows, of correct and of wrong ones, in units of correct minus wrong."""
    found = {}
    for name, brevity in (("length only", False), ("a brevity part in the reward", True)):
        case = short_and_long(brevity)
        a, correct, lengthy = (
            x.view(-1, SIZE) for x in (_row_advantages(algorithm, case), case.correct, case.lengths == LONG)
        )
        unit = (_means(a, correct) - _means(a, ~correct)).mean().item()
        correct_tilt, wrong_tilt = (
            (_means(a, rows & lengthy) - _means(a, rows & ~lengthy)).mean().item() for rows in (correct, ~correct)
        )
        alive = unit > NOTHING
        found[name] = (correct_tilt / unit, wrong_tilt / unit) if alive else (math.nan, math.nan)
    return found


def _change(algorithm: Algorithm, before: Case, after: Case) -> float:
    """How the advantage of the last row of each group changed, in units of the mean one before."""
    old, new = (_row_advantages(algorithm, case) for case in (before, after))
    return _ratio((new - old)[SIZE - 1 :: SIZE].mean(), old.abs().mean())


def _row_share(algorithm: Algorithm, case: Case, rows: Tensor) -> float:
    mass = _mass(algorithm, case).sum(1)
    return _ratio(mass[rows].mean(), mass.mean())


def _row_advantages(algorithm: Algorithm, case: Case) -> Tensor:
    """(B,) advantages, those of tokens averaged."""
    a = behave(algorithm, case).advantages
    return a if a.dim() == 1 else (a * case.mask).sum(1) / case.mask.sum(1)


def _push(algorithm: Algorithm, case: Case) -> Tensor:
    """(B,T) positive where an update makes a token likelier."""
    return -behave(algorithm, case).grad_logp * case.mask


def _mass(algorithm: Algorithm, case: Case) -> Tensor:
    return _push(algorithm, case).abs()


def _means(x: Tensor, rows: Tensor) -> Tensor:
    """(groups, SIZE) -> (groups,) mean over the chosen rows."""
    return (x * rows).sum(1) / rows.sum(1)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _ratio(part: Tensor, whole: Tensor) -> float:
    return (part / whole).item() if whole > NOTHING else math.nan
