"""Pre-flight: does a file define an algorithm that can train, is it what it says, and has it been seen before?

Costs a second on a CPU; a candidate that fails here never trains. The checks run in the order of `_checks`, up to the
first that fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from engine.algorithms.loader import load_algorithm
from engine.algorithms.pipeline import Pipeline, stage_names
from engine.contract import Algorithm
from engine.errors import PoiseError
from engine.verify import checks, memory
from engine.verify.alive import Acts, acts
from engine.verify.bandit import learn
from engine.verify.case import Case
from engine.verify.claims import VOCABULARY
from engine.verify.claims import check as measure
from engine.verify.finding import Check, Finding
from engine.verify.fingerprint import fingerprint, signature
from engine.verify.recorded import recorded, recorded_for
from engine.verify.regimes import regimes


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """Verify `job["algorithm"]`, also on the batches recorded from the root of `job["profile"]`.

    Returns:
        the report, see `verify`.
    """
    torch.set_num_threads(1)
    return verify(Path(job["algorithm"]), job["profile"]["name"], recorded_for(job["profile"]))


def verify(path: Path, profile: str = "tiny", batches: Sequence[Case] | None = None) -> dict[str, Any]:
    """Every check in order, up to the first that fails.

    Args:
        path: the algorithm's file; it is run in this process.
        profile: whose root the batches were recorded from.
        batches: those batches; the ones that are shipped for the profile without.

    Returns:
        `{"passed", "cause", "checks": [{"name", "passed", "detail"}], "warnings": [str], "algorithm", "profile",
        "mechanisms": [{"name", "params", "ranges", "stages", "acts", "acts_on_profile"}], "claims": [...],
        "fingerprint", "profile_fingerprint", "signature"}`. A failed check also names mechanism, stage, regime,
        expected and found. What was not reached is None or empty.
    """
    report: dict[str, Any] = {"passed": False, "cause": None, "checks": [], "warnings": [], "algorithm": None}
    report |= {"profile": profile, "mechanisms": [], "claims": []}
    report |= {"fingerprint": None, "profile_fingerprint": None, "signature": None}
    try:
        algorithm = load_algorithm(path)
    except PoiseError as e:
        return report | {"cause": str(e), "checks": [Check("loads", False, str(e)).document()]}
    report["algorithm"] = algorithm.name
    report["mechanisms"] = described(algorithm)
    report["checks"].append(Check("loads", True, f"{len(algorithm.mechanisms)} mechanisms").document())
    batches = recorded(profile) if batches is None else batches
    for name, check in _checks(algorithm, batches, report):
        result = _run(name, check)
        report["checks"].append(result.document())
        if not result.passed:
            return report | {"cause": f"{name}: {result.detail}"}
    report["fingerprint"] = fingerprint(algorithm, regimes())
    report["profile_fingerprint"] = fingerprint(algorithm, batches) if batches else None
    report["signature"] = signature(algorithm, regimes())
    return report | {"passed": True}


def described(algorithm: Algorithm) -> list[dict[str, Any]]:
    """Name, constants with their bounds, and stages of each mechanism."""
    stages = stage_names(algorithm.mechanisms)
    return [
        {
            "name": m.name,
            "doc": " ".join((type(m).__doc__ or "").split("\n\n")[0].split()),
            "params": m.params(),
            "ranges": {name: [r.low, r.high] for name, r in m.ranges().items()},
            "stages": stages[m.name],
        }
        for m in algorithm.mechanisms
    ]


def _checks(
    algorithm: Algorithm, batches: Sequence[Case], report: dict[str, Any]
) -> Iterator[tuple[str, Callable[[], str]]]:
    before = memory.snapshot(algorithm)
    yield "composes", lambda: _composes(algorithm)
    yield "hooks keep the rules", lambda: checks.hooks_keep_the_rules(algorithm, batches)
    yield "deterministic, no hidden state", lambda: memory.two_runs_agree(algorithm, before)
    yield "state survives a checkpoint", lambda: memory.state_survives_a_checkpoint(algorithm)
    yield "padding changes nothing", lambda: checks.padding_changes_nothing(algorithm)
    yield "order changes nothing", lambda: checks.order_changes_nothing(algorithm)
    yield "micro-batch split changes nothing", lambda: checks.split_changes_nothing(algorithm)
    yield "off is GRPO", lambda: checks.off_is_grpo(algorithm)
    yield "advantages reach the policy", lambda: checks.advantages_reach_the_policy(algorithm)
    yield "no mechanism is inert", lambda: _alive(algorithm, batches, report)
    yield "learns a bandit", lambda: _learns(algorithm, report["warnings"])
    yield "does what it claims", lambda: _claims_hold(algorithm, report["claims"])


def _run(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except Finding as e:
        return Check(name, False, str(e), e)
    except PoiseError as e:
        return Check(name, False, str(e))
    except Exception as e:  # candidate code may raise anything; all of it is a verdict
        return Check(name, False, f"{type(e).__name__}: {e}".splitlines()[0])


def _composes(algorithm: Algorithm) -> str:
    Pipeline(algorithm)
    return "one replacer a stage stands"


def _alive(algorithm: Algorithm, batches: Sequence[Case], report: dict[str, Any]) -> str:
    found = acts(algorithm, batches)
    for row in report["mechanisms"]:
        where = found[row["name"]]
        row["acts"] = list(where.regimes)
        row["acts_on_profile"] = None if where.recorded is None else len(where.recorded)
    inert = [name for name, where in found.items() if not where.regimes]
    if inert:
        expected = "a gradient that changes when it is switched off"
        everywhere = f"{inert[0]} is inert: it changes nothing in any of {len(regimes())} regimes"
        raise Finding(expected, everywhere, inert[0], checks.hooked(algorithm, inert[0]))
    report["warnings"] += _inert_here(found, batches, report["profile"])
    return "each changes a gradient somewhere"


def _learns(algorithm: Algorithm, warnings: list[str]) -> str:
    learning = learn(algorithm)
    told = f"{learning.start:.2f} -> {learning.end:.2f} in {learning.updates_to or learning.bound} updates"
    if learning.verdict in ("fine", "slow"):
        if learning.verdict == "slow":
            warnings.append(f"slow: the rewarded arm of the bandit went {told}; GRPO is ten times faster")
        return f"the rewarded arm went {told}"
    name = checks.culprit(algorithm, lambda a: a.mechanisms and learn(a).verdict == learning.verdict)
    expected = "a higher probability of the rewarded arm"
    raise Finding(expected, f"{learning.verdict} ({told})", name, checks.hooked(algorithm, name), "bandit")


def _claims_hold(algorithm: Algorithm, rows: list[dict[str, Any]]) -> str:
    name = algorithm.mechanisms[0].name if len(algorithm.mechanisms) == 1 else None
    stage = checks.hooked(algorithm, name)
    for claim in algorithm.claims:
        try:
            m = measure(algorithm, claim)
        except PoiseError as e:
            raise Finding("claims that can be measured", str(e), name, stage) from None
        words = VOCABULARY[claim].sentence
        value = m.value if math.isfinite(m.value) else None
        row = {"claim": claim, "sentence": words, "holds": m.holds, "regime": m.regime}
        rows.append(row | {"value": value, "bound": m.bound, "reference": m.reference})
        if not m.holds:
            expected = f"{claim}: {words} (it takes {m.bound:.3g}; GRPO has {m.reference:.3g})"
            raise Finding(expected, "nothing to measure" if value is None else f"{value:.3g}", name, stage, m.regime)
    return f"{len(rows)} claims confirmed" if rows else "it claims nothing"


def _inert_here(found: Mapping[str, Acts], batches: Sequence[Case], profile: str) -> list[str]:
    where = f"it changes nothing on the {len(batches)} batches recorded from {profile}'s root"
    return [
        f"{name} is inert on this profile: {where}"
        for name, acting in found.items()
        if acting.recorded == () and acting.regimes != ("over time",)
    ]
