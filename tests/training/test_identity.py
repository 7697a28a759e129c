"""GRPO through our seam is TRL's GRPO, to the last bit, free-running; so are the library's twins of TRL's options."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from trl import GRPOTrainer

from engine.algorithms.library.scales import NoStd
from engine.algorithms.pipeline import Pipeline
from engine.contract import Algorithm
from engine.stages import LOSS_STAGES
from engine.training.trainer import PoiseTrainer
from tests.training.pairs import UPDATES, Training, ours, theirs, through_ours, through_trl
from tests.training.twins import TWINS, Twin

GRPO = Algorithm("GRPO")
PLAIN = {"beta": 0.0, "entropy_coef": 0.0}
ACCUMULATION = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 2}
IDENTITIES = {
    "off-policy with KL and entropy": {},
    "off-policy without KL and entropy": PLAIN,
    "off-policy with KL alone": {"entropy_coef": 0.0},
    "on-policy with KL and entropy": {"steps_per_generation": 1},
    "on-policy without KL and entropy": {"steps_per_generation": 1, **PLAIN},
    "accumulation over one batch, on-policy": {**ACCUMULATION, "steps_per_generation": 2},
    "accumulation, two updates a batch": {**ACCUMULATION, "steps_per_generation": 4},
    "accumulation, two updates a batch, without KL": {**ACCUMULATION, "steps_per_generation": 4, **PLAIN},
    "accumulation that ends short in every epoch": {
        "gradient_accumulation_steps": 4,
        "steps_per_generation": 2,
    },
    "two iterations over a batch": {"steps_per_generation": 1, "num_iterations": 2},
    "two iterations over two updates": {"num_iterations": 2},
    "two iterations with accumulation": {**ACCUMULATION, "steps_per_generation": 4, "num_iterations": 2},
    "wider clip above": {"epsilon_high": 0.28},
}


@cache
def root_of(shared: tuple[tuple[str, Any], ...]) -> Training:
    return through_ours(GRPO, **dict(shared))


@pytest.mark.parametrize("settings", IDENTITIES.values(), ids=IDENTITIES.keys())
def test_the_empty_algorithm_is_bit_equal_to_trl_free_running(settings: dict[str, Any]) -> None:
    trl, mine = through_trl(**settings), through_ours(GRPO, **settings)
    assert len(mine.losses) == UPDATES
    assert mine.parted(trl) is None
    assert mine.equals(trl)


@pytest.mark.parametrize("twin", [t for t in TWINS if not t.not_bit_equal], ids=lambda t: t.name)
def test_a_library_mechanism_is_bit_equal_to_its_twin_in_trl_free_running(twin: Twin) -> None:
    trl = through_trl(twin.trl, **{**twin.shared, **twin.settings})
    mine = through_ours(Algorithm("twin", twin.mechanisms), **twin.shared)
    assert mine.parted(trl) is None
    assert mine.equals(trl)
    root = root_of(tuple(twin.shared.items()))
    assert mine.parted(root) is not None, "a twin that is GRPO shows nothing"


@pytest.mark.parametrize("name", ["DAPO's token mean", "BNPO's local token mean", "VESPO", "LUSPO", "adaptive entropy"])
def test_twins_stay_bit_equal_under_accumulation(name: str) -> None:
    """Denominators of a whole optimizer step, and a controller that sees all of its micro-batches."""
    twin = next(t for t in TWINS if t.name == name)
    shared = {**twin.shared, **ACCUMULATION, "steps_per_generation": 4}
    trl = through_trl(twin.trl, **{**shared, **twin.settings})
    mine = through_ours(Algorithm("twin", twin.mechanisms), **shared)
    assert mine.equals(trl)


def test_a_mechanism_switched_off_is_as_if_it_were_absent() -> None:
    algorithm = Algorithm("x", (NoStd(),))
    assert through_ours(algorithm.without(["NoStd"])).equals(root_of(()))
    assert not through_ours(algorithm).equals(root_of(()))


class Compared(PoiseTrainer):
    """On every batch that it trains on, takes the gradients of TRL's loss and of GRPO's too."""

    theirs: GRPOTrainer
    """TRL's trainer with the twin's settings; only its loss is used."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.distances: list[float] = []
        """|ours - TRL's| / |TRL's|, one an update."""
        self.root_distances: list[float] = []

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        algorithm, self.pipeline = self.pipeline, Pipeline(GRPO)
        root = super()._compute_loss(model, inputs)
        self.pipeline = algorithm
        self._loss_stats.clear()
        mine = super()._compute_loss(model, inputs)
        self.theirs.current_gradient_accumulation_steps = self.current_gradient_accumulation_steps
        trl = self.theirs._compute_loss(model, inputs)
        self.distances.append(distance(model, mine, trl))
        self.root_distances.append(distance(model, root, trl))
        return mine


def distance(model: Any, mine: torch.Tensor, theirs: torch.Tensor) -> float:
    """Norm of the difference of two losses' gradients by the model's trainable weights, in norms of the second."""
    weights = [p for p in model.parameters() if p.requires_grad]
    one, other = (
        torch.cat([g.flatten().double() for g in torch.autograd.grad(loss, weights, retain_graph=True)])
        for loss in (mine, theirs)
    )
    return float((one - other).norm() / other.norm())


IN_THE_LOSS = [t for t in TWINS if any(set(m.hooks()) & set(LOSS_STAGES) for m in t.mechanisms)]


@pytest.mark.parametrize("twin", IN_THE_LOSS, ids=lambda t: t.name)
def test_gradients_on_the_same_batches_agree_within_1e_5_of_their_norm(twin: Twin) -> None:
    """What a device that adds up in another order can still promise; never relative on the loss, which is near zero."""
    trainer = ours(Algorithm("twin", twin.mechanisms), Compared, max_steps=6, **twin.shared)
    trainer.theirs = theirs(twin.trl, **{**twin.shared, **twin.settings})
    trainer.theirs.model.train()
    trainer.train()
    assert len(trainer.distances) == 6
    assert max(trainer.distances) < 1e-5
    assert max(trainer.root_distances) > 1e-4, "GRPO must not pass for the twin"
