"""TRL tears groups across micro-batches; a mechanism that compares the rows of a group in the loss gets whole ones."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from trl import GRPOTrainer
from trl.trainer.utils import shuffle_sequence_dict, split_tensor_dict

from engine.algorithms.library.losses import GroupRegression
from engine.algorithms.library.scales import NoStd
from engine.contract import Algorithm, Inner, Mechanism, Minibatch
from engine.errors import PoiseError
from engine.training.groups import whole_groups
from engine.training.trainer import PARTS_KEY, PoiseTrainer
from tests.training.pairs import ours

SIZE = 8


class Seeing(Mechanism):
    """Changes nothing."""

    def surrogate(self, m: Minibatch, ratio: Tensor, inner: Inner) -> Tensor:
        return inner(ratio)


class SeeingGroups(Seeing):
    whole_groups = True


class Watched(PoiseTrainer):
    """Keeps each micro-batch's groups and rows."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.micro_batches: list[tuple[list[int], list[int], list[str]]] = []

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        prompts = self.processing_class.batch_decode(inputs["prompt_ids"], skip_special_tokens=True)
        self.micro_batches.append((inputs["poise_group"].tolist(), inputs["poise_row"].tolist(), prompts))
        return super()._compute_loss(model, inputs)


def watched(mechanism: Mechanism, **settings: Any) -> Watched:
    trainer = ours(Algorithm("t", (mechanism,)), Watched, **{"max_steps": 8, **settings})
    trainer.train()
    return trainer


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2, "steps_per_generation": 4},
        {"num_iterations": 2},
    ],
    ids=["two updates a batch", "accumulation", "two iterations"],
)
def test_every_micro_batch_holds_whole_groups_with_their_rows_in_order(settings: dict[str, Any]) -> None:
    trainer = watched(SeeingGroups(), **settings)
    assert len(trainer.micro_batches) >= 8
    for groups, rows, prompts in trainer.micro_batches:
        for start in range(0, len(rows), SIZE):
            assert rows[start : start + SIZE] == list(range(groups[start] * SIZE, groups[start] * SIZE + SIZE))
            assert len(set(prompts[start : start + SIZE])) == 1, "TRL's own tensors move with ours"
    first = [groups[0] for groups, _, _ in trainer.micro_batches]
    assert first != sorted(first), "groups come in TRL's random order"


def test_without_such_a_mechanism_groups_are_torn_as_trl_tears_them() -> None:
    torn = [rows for _, rows, _ in watched(Seeing()).micro_batches]
    assert any(rows != sorted(rows) for rows in torn)


def test_regrouping_moves_no_random_number() -> None:
    """The same completions are sampled for the same prompts; only the order of the rows in the loss differs."""
    whole, torn = watched(SeeingGroups(), max_steps=2), watched(Seeing(), max_steps=2)
    assert whole.batch is not None
    assert torn.batch is not None
    assert (whole.batch.prompts, whole.batch.completions) == (torn.batch.prompts, torn.batch.completions)


@given(seed=st.integers(0, 10_000), groups=st.integers(1, 4), size=st.integers(2, 4), chunks=st.sampled_from([1, 2, 4]))
def test_regrouping_loses_and_repeats_nothing(seed: int, groups: int, size: int, chunks: int) -> None:
    rows = groups * size * chunks
    batch = {
        "ids": torch.arange(rows * 3).view(rows, 3),
        "names": [f"row {i}" for i in range(rows)],
        "total": torch.tensor(5.0),
        "missing": None,
        PARTS_KEY + "group": torch.arange(rows) // size,
        PARTS_KEY + "row": torch.arange(rows),
    }
    torch.manual_seed(seed)
    made = whole_groups(split_tensor_dict(shuffle_sequence_dict(batch), chunks), PARTS_KEY)
    assert len(made) == chunks
    for chunk in made:
        order = chunk[PARTS_KEY + "row"]
        assert (order.view(-1, size) == order.view(-1, size)[:, :1] + torch.arange(size)).all()
        assert torch.equal(chunk["ids"], batch["ids"][order])  # type: ignore[index]
        assert chunk["names"] == [f"row {i}" for i in order.tolist()]
        assert chunk["total"] == 5.0
        assert chunk["missing"] is None
    assert sorted(torch.cat([c[PARTS_KEY + "row"] for c in made]).tolist()) == list(range(rows))


def test_a_micro_batch_that_cannot_hold_whole_groups_is_refused_before_the_training() -> None:
    settings = {"per_device_train_batch_size": 12, "steps_per_generation": 2}
    algorithm = Algorithm("Regressed", (GroupRegression(),))
    line = "Regressed: GroupRegression needs whole groups in a micro-batch, but 12 rows do not hold whole groups of 8"
    with pytest.raises(PoiseError, match=line):
        ours(algorithm, **settings)
    ours(Algorithm("GRPO"), **settings)


def test_trl_still_buffers_the_micro_batches_where_we_look_for_them() -> None:
    source = inspect.getsource(GRPOTrainer._prepare_inputs)
    assert "self._buffered_inputs = [" in source
    assert "inputs = self._buffered_inputs[self._step % self.args.steps_per_generation]" in source
    assert "shuffle_sequence_dict(generation_batch)" in source
    trainer = ours(Algorithm("GRPO"))
    assert trainer._buffered_inputs is None
    assert trainer._step == 0


class Regressed(PoiseTrainer):
    """Compares the gradient of each loss with the paper's own form, written out group by group."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.distances: list[float] = []

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        loss = super()._compute_loss(model, inputs)
        weights = [p for p in model.parameters() if p.requires_grad]
        paper = self._paper(model, inputs)
        mine, theirs = (
            torch.cat([g.flatten() for g in torch.autograd.grad(x, weights, retain_graph=True)]) for x in (loss, paper)
        )
        self.distances.append(float((mine - theirs).norm() / theirs.norm()))
        return loss

    def _paper(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        """-beta sum_i sg[w_i] log pi(y_i) / (G - 1), w_i = (r_i - mean r) - beta (l_i - mean l); mean over groups."""
        beta = self.pipeline.algorithm.mechanisms[-1].params()["beta"]
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
        seen = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
        width = inputs["completion_ids"].size(1)
        logp, _, _ = self._get_per_token_logps_and_entropies(model, ids, seen, width)
        total, groups = torch.zeros(()), 0
        for g in inputs["poise_group"].unique():
            mine = inputs["poise_group"] == g
            length = inputs["completion_mask"][mine]
            sequence = (logp[mine] * length).sum(1)
            drift = (sequence - (inputs["old_per_token_logps"][mine] * length).sum(1)).detach()
            rewards = inputs["poise_rewards"][mine]
            weight = (rewards - rewards.mean()) - beta * (drift - drift.mean())
            total, groups = total - beta * (weight * sequence).sum() / (len(rewards) - 1), groups + 1
        return total / groups


def test_gvpo_trains_with_the_gradient_of_its_paper() -> None:
    algorithm = Algorithm("GVPO", (NoStd(), GroupRegression(beta=0.3)))
    trainer = ours(algorithm, Regressed, max_steps=8, beta=0.0, entropy_coef=0.0)
    trainer.train()
    assert len(trainer.distances) == 8
    assert max(trainer.distances) < 1e-5
