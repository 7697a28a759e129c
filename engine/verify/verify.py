"""The `verify` job: does a file define an algorithm that can train, and is each mechanism alive?

Costs milliseconds on synthetic batches (probes.py); a candidate that fails here never trains.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.algorithms.loader import load_algorithm
from engine.algorithms.pipeline import Pipeline, stage_names
from engine.contract import Algorithm, Hyper, StepStats
from engine.errors import PoiseError
from engine.verify.probes import HYPER, PROBES, Probe, minibatch, rollouts

DIGITS = 6
"""Decimal places in which two behaviours must agree to count as one: far below any float32 training."""


@dataclass(frozen=True)
class Behaviour:
    """What an algorithm does to one probe."""

    advantages: Tensor
    """(B,) or (B,T)."""
    loss: Tensor
    """Scalar."""
    grad_logp: Tensor
    """(B,T) gradient of the loss with respect to the policy's log-probabilities."""
    grad_entropy: Tensor
    """(B,T)."""

    def flat(self) -> Tensor:
        """Everything the optimizer could notice, as one vector."""
        return torch.cat([x.detach().flatten().double() for x in (self.grad_logp, self.grad_entropy)])


def run_job(job: dict[str, Any]) -> dict[str, Any]:
    """Verify `job["algorithm"]`.

    Returns:
        `{"passed", "cause", "checks": [{"name", "passed", "detail"}], "algorithm", "mechanisms", "fingerprint"}`.
    """
    torch.set_num_threads(1)
    return verify(Path(job["algorithm"]))


def verify(path: Path) -> dict[str, Any]:
    """Every check in order, up to the first that fails."""
    checks: list[dict[str, Any]] = []
    report: dict[str, Any] = {"algorithm": None, "mechanisms": [], "fingerprint": None}
    try:
        algorithm = load_algorithm(path)
        checks.append(_passed("loads", f"{len(algorithm.mechanisms)} mechanisms"))
        stages = stage_names(algorithm.mechanisms)
        report["algorithm"] = algorithm.name
        report["mechanisms"] = [
            {"name": m.name, "params": m.params(), "stages": stages[m.name]} for m in algorithm.mechanisms
        ]
        Pipeline(algorithm)
        checks.append(_passed("composes", "one replacer a stage at most"))
        for name, check in (
            ("finite, right shapes", _finite),
            ("gradient flows", _gradient_flows),
            ("padding changes nothing", _padding),
            ("controllers run", _controllers),
            ("no mechanism is inert", _alive),
        ):
            checks.append(_passed(name, check(algorithm)))
        report["fingerprint"] = fingerprint(algorithm)
        cause = None
    except PoiseError as e:
        cause = str(e)
    except Exception as e:  # candidate code may raise anything; all of it is a verdict
        cause = f"{type(e).__name__}: {e}".splitlines()[0]
    if cause is not None:
        checks.append({"name": "stopped", "passed": False, "detail": cause})
    return {"passed": cause is None, "cause": cause, "checks": checks, **report}


def behave(algorithm: Algorithm, probe: Probe, padding: int = 0, hyper: Hyper = HYPER) -> Behaviour:
    """Run one probe through all stages of a fresh pipeline."""
    pipeline = Pipeline(algorithm)
    r = rollouts(probe, padding, hyper)
    with torch.no_grad():
        made = pipeline.advantages(r)
    m, logp, entropy = minibatch(probe, r, made.values, made.dropped)
    loss = pipeline.loss(m, made.sampler_weight).value
    leaves = [logp, entropy]
    if not loss.requires_grad:
        grads: list[Tensor | None] = [None, None]
    else:
        grads = list(torch.autograd.grad(loss, leaves, allow_unused=True))
    grad_logp, grad_entropy = (torch.zeros_like(x) if g is None else g for g, x in zip(grads, leaves, strict=True))
    return Behaviour(made.values, loss.detach(), grad_logp, grad_entropy)


def fingerprint(algorithm: Algorithm) -> str:
    """A digest of the gradients on all probes: equal for files that do the same under other names."""
    digest = hashlib.sha256()
    for probe in PROBES:
        rounded = torch.round(behave(algorithm, probe).flat(), decimals=DIGITS) + 0.0
        digest.update(rounded.numpy().tobytes())
    # A controller shows itself only after updates; its name and constants stand in for what it will do.
    controllers = sorted(repr(m) for m in algorithm.mechanisms if hasattr(m, "on_optimizer_step"))
    digest.update(repr(controllers).encode())
    return digest.hexdigest()


def _finite(algorithm: Algorithm) -> str:
    for probe in PROBES:
        b = behave(algorithm, probe)
        for what, x in (("advantages", b.advantages), ("the loss", b.loss), ("the gradient", b.flat())):
            if not torch.isfinite(x).all():
                raise PoiseError(f"{what} of {algorithm.name} is not finite on the probe '{probe.name}'")
    return f"{len(PROBES)} regimes"


def _gradient_flows(algorithm: Algorithm) -> str:
    bare = replace(HYPER, beta=0.0, entropy_coef=0.0)  # KL and entropy have gradients of their own
    largest = max(behave(algorithm, p, hyper=bare).grad_logp.abs().max().item() for p in PROBES)
    if largest == 0.0:
        raise PoiseError(f"no gradient of {algorithm.name} goes from the advantages to the policy on any probe")
    return f"largest {largest:.3g}"


def _padding(algorithm: Algorithm) -> str:
    for probe in PROBES:
        plain, padded = behave(algorithm, probe), behave(algorithm, probe, padding=3)
        grad = padded.grad_logp[:, : plain.grad_logp.shape[1]]
        if not torch.allclose(plain.grad_logp, grad, rtol=1e-6, atol=1e-9):
            raise PoiseError(f"padding columns change the gradient of {algorithm.name} on the probe '{probe.name}'")
    return "3 empty columns"


def _controllers(algorithm: Algorithm) -> str:
    pipeline = Pipeline(algorithm)
    for step in (1, 2):
        pipeline.on_optimizer_step(StepStats(step, step / 10, 0.5, 0.3, 0.4, 0.01, 8.0, 0.1, 1.0))
    restored = Pipeline(algorithm)
    restored.load_state_dict(pipeline.state_dict())
    if restored.state_dict() != pipeline.state_dict():
        raise PoiseError(f"the state of {algorithm.name} does not survive a checkpoint")
    return "state survives a checkpoint"


def _alive(algorithm: Algorithm) -> str:
    whole = [behave(algorithm, p).flat() for p in PROBES]
    for m in algorithm.mechanisms:
        if hasattr(m, "on_optimizer_step"):
            continue  # a controller may act only after it has seen updates
        without = algorithm.without([m.name])
        if all(
            torch.allclose(a, behave(without, p).flat(), rtol=1e-9, atol=1e-12)
            for a, p in zip(whole, PROBES, strict=True)
        ):
            raise PoiseError(f"{m.name} is inert: switching it off changes no gradient on any of {len(PROBES)} probes")
    return "each changes a gradient somewhere"


def _passed(name: str, detail: str) -> dict[str, Any]:
    return {"name": name, "passed": True, "detail": detail}
