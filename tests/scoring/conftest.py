"""The shipped model, loaded once."""

from typing import Any

import pytest
import torch

from engine.profiles.load_model import load_base


@pytest.fixture(scope="session")
def tiny() -> tuple[Any, Any]:
    torch.set_num_threads(1)
    return load_base({"name": "tiny"})


@pytest.fixture
def job() -> dict[str, Any]:
    """A small score job on the base alone."""
    return {
        "adapter": None,
        "split": "development",
        "score_seed": 5,
        "profile": {
            "model": {"name": "tiny"},
            "tasks": {"name": "tiny", "options": {}},
            "score": {
                "problems": 12,
                "samples": 8,
                "k": 4,
                "temperature": 1.0,
                "max_completion_length": 24,
                "batch_size": 96,
                "threads": 1,
            },
        },
    }
