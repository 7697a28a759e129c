"""What the batches recorded from a profile's root may be relied on for, and how they are made."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.contract import Algorithm
from engine.errors import PoiseError
from engine.profiles.schema import known_profiles, load_profile
from engine.tasks import load_taskset
from engine.verify.behave import behave
from engine.verify.case import Case, cast
from engine.verify.recorded import COMMAND, made_from, read, recorded, recording, write

ROOT = Algorithm("GRPO")
PROFILES = [name for name in known_profiles() if recording(name).is_file()]
CASES = [case for name in PROFILES for case in recorded(name)]

ROUNDING = 5e-3
"""A uniform group's advantages in single precision: its mean is off by 2e-7, which TRL divides by its epsilon, 1e-4."""

each = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def test_the_tiny_profile_has_four_moments_from_the_first_batch_to_the_last() -> None:
    cases = recorded("tiny")
    train = load_profile("tiny").train
    assert [case.step for case in cases] == sorted({case.step for case in cases})
    assert len(cases) == 4
    assert cases[0].step == train.updates_per_batch - 1
    assert cases[-1].step == train.updates - 1
    assert recording("tiny").stat().st_size < 300_000


@pytest.mark.parametrize("name", PROFILES)
def test_a_recording_belongs_to_its_profile_as_it_is_now(name: str) -> None:
    profile = load_profile(name).resolved()
    cases, about = read(recording(name))
    old = f"the recorded batches are of another version of the profile: {COMMAND.format(name)}"
    assert about["made_from"] == made_from(profile), old
    tasks = load_taskset(profile["tasks"]["name"], profile["tasks"]["options"])
    train = profile["train"]
    for case in cases:
        assert case.part_weights == tasks.part_weights, old
        assert list(case.parts) == list(tasks.part_weights), old
        assert len(case.correct) == train["prompts_per_batch"] * train["group_size"]
        h = case.hyper
        assert (h.group_size, h.max_length) == (train["group_size"], train["max_completion_length"])
        assert (h.beta, h.entropy_coef) == (train["beta"], train["entropy_coef"])
        assert (h.clip_low, h.clip_high) == (train["clip_epsilon"], train["clip_epsilon"])


def test_a_profile_without_a_recording_has_no_batches() -> None:
    assert recorded("none-of-ours") == ()


@each
def test_every_row_is_off_policy_on_its_completion_and_nowhere_else(case: Case) -> None:
    """Rows in another order than their old log-probabilities would be far off, and off on padding."""
    drift = (case.logp - case.old_logp).abs()
    assert ((drift * case.mask).amax(dim=1) > 1e-5).all()
    assert (drift * (1 - case.mask)).max() == 0
    assert drift.max() < 1


@each
def test_rewards_are_the_weighted_sum_of_the_parts(case: Case) -> None:
    for i, reward in enumerate(case.rewards.tolist()):
        parts = {name: x[i].item() for name, x in case.parts.items()}
        assert reward == pytest.approx(sum(case.part_weights[n] * x for n, x in parts.items()), abs=1e-5)


@pytest.mark.parametrize("case", recorded("tiny"), ids=lambda case: case.name)
def test_grades_and_tokens_of_a_row_are_of_one_completion(case: Case) -> None:
    """`brevity` of the tiny tasks is 1 - length/24: the grader's part agrees with the trainer's mask, row by row."""
    assert torch.equal(case.mask.sum(1), case.lengths)
    assert torch.allclose(case.parts["brevity"], 1 - case.lengths / case.hyper.max_length)
    assert torch.equal(case.parts["correct"], case.correct.float())
    assert not (case.truncated & case.valid).any()
    assert not (case.correct & ~case.valid).any()


@each
def test_the_root_is_finite_and_acts_on_every_batch(case: Case) -> None:
    did = behave(ROOT, case)
    assert torch.isfinite(did.flat()).all()
    assert did.grad_logp.norm() > 0
    groups = did.advantages.view(-1, case.hyper.group_size)
    mixed = case.rewards.view(-1, case.hyper.group_size).std(1) > 0
    assert mixed.any()
    assert torch.allclose(groups[mixed].mean(1), torch.zeros(()), atol=1e-5)
    assert torch.allclose(groups[mixed].std(1), torch.ones(()), atol=0.01)  # TRL's epsilon takes the rest
    assert (groups[~mixed].abs() < ROUNDING).all()


def trl_gradients(case: Case, advantages: Tensor) -> list[Tensor]:
    """Gradients of TRL's own loss on a case: its method, with a model whose log-probabilities are given."""
    from trl import GRPOTrainer

    logp, entropy = case.logp.clone().requires_grad_(), case.entropy.clone().requires_grad_()
    h = case.hyper
    trainer: Any = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *_, **__: (logp, entropy, None),
        args=SimpleNamespace(use_bias_correction_kl=False, delta=None),
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(
            gather=lambda x: x, reduce=lambda x, reduction: x, sync_gradients=True, num_processes=1
        ),
        loss_type="grpo",
        importance_sampling_level="token",
        beta=h.beta,
        epsilon_low=h.clip_low,
        epsilon_high=h.clip_high,
        entropy_coef=h.entropy_coef,
        _entropy_bonus_enabled=h.entropy_coef != 0,
        use_adaptive_entropy=False,
        off_policy_mask_threshold=None,
        top_entropy_quantile=1.0,
        aux_loss_enabled=False,
        use_vllm=False,
        current_gradient_accumulation_steps=h.accumulation,
        _metrics={"train": defaultdict(list)},
    )
    tokens = torch.zeros_like(case.mask, dtype=torch.long)
    inputs = {
        "prompt_ids": tokens[:, :1],
        "prompt_mask": tokens[:, :1] + 1,
        "completion_ids": tokens,
        "completion_mask": case.mask,
        "advantages": advantages,
        "old_per_token_logps": case.old_logp,
        "ref_per_token_logps": case.ref_logp,
    }
    loss = GRPOTrainer._compute_loss(trainer, None, inputs)
    return list(torch.autograd.grad(loss, [logp, entropy]))


@each
def test_the_root_has_the_gradient_of_trls_own_loss(case: Case) -> None:
    ours = behave(ROOT, case)
    theirs = trl_gradients(case, ours.advantages)
    for a, b in zip((ours.grad_logp, ours.grad_entropy), theirs, strict=True):
        assert b.norm() > 0
        assert (a - b).norm() <= 1e-5 * b.norm()


@each
def test_single_precision_is_enough_for_the_root(case: Case) -> None:
    single, double = behave(ROOT, case).flat(), behave(ROOT, cast(case, torch.float64)).flat()
    assert (single - double).norm() <= ROUNDING * double.norm()


def truncated_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def text(path: Path) -> None:
    path.write_text("no tensors\n" * 100)


def no_metadata(path: Path) -> None:
    save_file(load_file(path), path)


def changed(change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        _, about = read(path)
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path, {key: json.dumps(value) for key, value in about.items()})

    return damage


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        pytest.param(truncated_file, "", id="cut off"),
        pytest.param(text, "", id="not a safetensors file"),
        pytest.param(no_metadata, "no 'moments' in it", id="no metadata"),
        pytest.param(changed(lambda t: t.pop("1/logp")), "no 'logp' in it", id="a tensor is missing"),
        pytest.param(changed(lambda t: t.pop("0/parts/format")), "'parts/format'", id="a part is missing"),
        pytest.param(changed(lambda t: t["2/old_logp"].fill_(torch.nan)), "old_logp is not finite", id="NaN"),
        pytest.param(
            changed(lambda t: t.update({"0/entropy": t["0/entropy"][:, 1:].clone()})),
            "entropy has the shape",
            id="shape",
        ),
        pytest.param(
            changed(lambda t: t.update({"3/correct": t["3/correct"].float()})), "correct is torch.float32", id="type"
        ),
        pytest.param(
            changed(lambda t: t.update({k: x[:12].clone() for k, x in t.items()})), "no groups of 8", id="torn groups"
        ),
    ],
)
def test_a_damaged_file_is_one_line_with_the_command_that_makes_it_anew(
    damage: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "batches.safetensors"
    write(path, recorded("tiny"), {})
    damage(path)
    with pytest.raises(PoiseError) as caught:
        read(path, COMMAND.format("tiny"))
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith("python -P -m engine.verify.record --profile tiny")
    assert "\n" not in str(caught.value)


def same(a: Case, b: Case) -> bool:
    def equal(x: Any, y: Any) -> bool:
        if isinstance(x, Tensor):
            return torch.equal(x, y)
        return all(equal(x[k], y[k]) for k in x) if isinstance(x, dict) else x == y

    return all(equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Case))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    first = recorded("tiny")[0]
    cases = (first, replace(first, name="without a reference", ref_logp=None, on_policy=True))
    write(tmp_path / "b.safetensors", cases, {"seed": 3})
    again, about = read(tmp_path / "b.safetensors")
    assert about["seed"] == 3
    assert all(same(a, b) for a, b in zip(cases, again, strict=True))


@pytest.fixture
def short() -> dict[str, Any]:
    """The tiny profile, cut to 6 updates of 2 groups."""
    profile = copy.deepcopy(load_profile("tiny").resolved())
    profile["train"] |= {"updates": 6, "prompts_per_batch": 4, "updates_per_batch": 2, "checkpoint_every": 6}
    return profile


def test_recording_is_the_training_that_it_records(short: dict[str, Any], tmp_path: Path) -> None:
    """Same losses as the root's training without anybody watching, which `poise train` runs."""
    from engine.loop.seeds import train_seed
    from engine.tasks.grader_client import GraderProcess
    from engine.training.run import run_job
    from engine.verify.record import record

    watched, plain = tmp_path / "watched", tmp_path / "plain"
    for folder in (watched, plain):
        folder.mkdir()
    cases = record(short, 5, 2, watched)
    with GraderProcess() as grader:
        connection = grader.connect("tiny", {}, train_seed(5, "pool", 0))
        job = {"profile": short, "seed": train_seed(5, "search", 0), "folder": str(plain)}
        run_job({**job, "grader_fd": connection.detach()})
    lines = [[json.loads(x) for x in (f / "metrics.jsonl").read_text().splitlines()] for f in (watched, plain)]
    for a, b in zip(*lines, strict=True):
        assert (a["step"], a["loss"], a["grad_norm"], a["reward"]) == (
            b["step"],
            b["loss"],
            b["grad_norm"],
            b["reward"],
        )
    assert [c.name for c in cases] == ["update 2 of 6", "update 6 of 6"]
    for case, line in zip(cases, (lines[0][1], lines[0][5]), strict=True):
        assert case.step == line["step"] - 1
        assert case.rewards.mean().item() == pytest.approx(line["reward"], abs=1e-6)
        assert case.correct.float().mean().item() == pytest.approx(line["correct"])
        assert case.lengths.mean().item() == pytest.approx(line["length"])
        assert ((case.logp - case.old_logp).abs() * case.mask).amax(1).min() > 1e-6


def test_an_on_policy_profile_is_recorded_as_such(short: dict[str, Any], tmp_path: Path) -> None:
    from engine.verify.record import record

    short["train"] |= {"updates": 2, "updates_per_batch": 1, "checkpoint_every": 2}
    cases = record(short, 5, 2, tmp_path)
    assert [c.step for c in cases] == [0, 1]
    for case in cases:
        assert case.on_policy
        assert torch.equal(case.logp, case.old_logp)
        assert case.logp.abs().max() > 0
    write(tmp_path / "b.safetensors", cases, {})
    assert all(same(a, b) for a, b in zip(cases, read(tmp_path / "b.safetensors")[0], strict=True))
