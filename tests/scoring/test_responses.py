"""Lengths and shares of responses, counted by hand."""

import pytest
import torch

from engine.scoring.responses import response_figures
from engine.scoring.sampling import _likeliest


def test_figures_are_means_over_all_responses() -> None:
    said = [("two words", False), ("and  three\nmore", True), ("", False)]
    figures = response_figures(said, [4, 10, 0], valid=1)
    assert figures["length"] == pytest.approx((5 + 10 + 1) / 3)  # an end that was sampled counts
    assert figures["words"] == pytest.approx((2 + 3 + 0) / 3)
    assert figures["truncated"] == pytest.approx(1 / 3) and figures["invalid"] == pytest.approx(2 / 3)


def test_greedy_takes_the_likeliest_token_whatever_the_luck() -> None:
    logits = torch.tensor([[0.1, 0.3, 0.2], [2.0, 2.0, -1.0]])
    assert torch.softmax(_likeliest(logits), 1).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert torch.isnan(_likeliest(torch.tensor([[0.0, torch.inf]]))).all()
