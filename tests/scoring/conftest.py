"""The shipped model, loaded once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.profiles.load_model import load_base, lora_settings

MODEL: dict[str, Any] = {"name": "tiny", "lora_r": 4, "lora_alpha": 8, "lora_target": "all-linear"}
Adapter = Callable[[float], Path]


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
            "model": dict(MODEL),
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


@pytest.fixture
def adapter(tmp_path: Path) -> Adapter:
    """Makes a LoRA adapter of the tiny model whose weights have the given size."""
    from peft import LoraConfig, get_peft_model

    def make(size: float) -> Path:
        torch.manual_seed(0)
        model = get_peft_model(load_base({"name": "tiny"})[0], LoraConfig(**lora_settings(MODEL)))
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.normal_(0, size) if size else weight.zero_()
        model.save_pretrained(str(tmp_path / "adapter"), safe_serialization=True)
        return tmp_path / "adapter"

    return make
