"""What a request to run becomes: checked before anything is made, and readable for later versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import Exit, PoiseError
from engine.loop.config import budget_of, new_run, read_config
from engine.loop.machine import gpu_names


def request(runs: Path, **more: Any) -> dict[str, Any]:
    return {"profile": "tiny", "name": "r", "runs_dir": str(runs), "seed": 1, **more}


@pytest.mark.skipif(bool(gpu_names()), reason="this machine has a GPU")
def test_gpu_hours_without_a_gpu_are_refused_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(PoiseError, match=r"--gpu-hours 2: this machine has no NVIDIA GPU.*use --hours") as caught:
        new_run(request(tmp_path / "runs", gpu_hours=2.0))
    assert caught.value.code is Exit.USAGE
    assert not (tmp_path / "runs").exists()


def test_what_was_not_limited_is_no_limit(tmp_path: Path) -> None:
    folder, config = new_run(request(tmp_path / "runs", hours=1.5))
    assert budget_of(config) == {"candidates": 16, "hours": 1.5, "gpu_hours": None, "usd": None}
    assert read_config(folder) == config


def test_a_run_from_before_gpu_hours_is_read(tmp_path: Path) -> None:
    folder, config = new_run(request(tmp_path / "runs"))
    lines = folder.config.read_text().splitlines()
    folder.config.write_text("\n".join(line for line in lines if not line.startswith("gpu_hours")))
    assert read_config(folder) == config
