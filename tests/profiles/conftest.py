"""SmolLM2-135M-Instruct, made once from a package of PyPI and kept between test runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filelock import FileLock

from engine.errors import PoiseError
from engine.profiles.build_smollm2 import NAME, build


@pytest.fixture
def smollm2(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model's folder, where the profile `smollm2` finds it; skips where the package is not to be had."""
    cache = pytestconfig.cache
    assert cache is not None
    models = Path(os.environ.get("POISE_TEST_MODELS") or cache.mkdir("models"))
    with FileLock(models / "smollm2.lock"):
        if not (models / NAME).is_dir():
            try:
                build(models / NAME)
            except PoiseError as error:
                pytest.skip(str(error))
    monkeypatch.setenv("POISE_MODELS", str(models))
    return models / NAME
