"""What only a process that imports torch can tell of this machine.

    python -P -m engine.loop.probe '{"profile": P, "runs_dir": DIR}'

It prints one JSON object and holds no GPU afterwards.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.errors import PoiseError
from engine.loop.machine import gpu_names
from engine.loop.outlook import outlook
from engine.profiles.load_model import model_dir
from engine.profiles.schema import load_profile
from engine.tasks import check_taskset, load_taskset


def look(profile: str, runs_dir: Path | None = None) -> dict[str, Any]:
    """Torch and what it can use, whether a profile's model and tasks are there, and what it will take.

    Args:
        runs_dir: where earlier runs of the profile may be.

    Returns:
        `{"torch", "cuda", "trl", "transformers", "drivers": [name], "gpus": [{"name", "free", "total"}], "cuda_error",
        "profile_error", "outlook": see `engine.loop.outlook` | None}`; free and total in bytes.
    """
    import torch

    gpus, cuda_error = [], ""
    try:
        for i in range(torch.cuda.device_count()):
            with torch.cuda.device(i):
                free, total = torch.cuda.mem_get_info()
                torch.ones(8, device="cuda").sum().item()  # the driver and the build get along
            gpus.append({"name": torch.cuda.get_device_name(i), "free": free, "total": total})
    except RuntimeError as e:
        gpus, cuda_error = [], str(e).splitlines()[0]
    if gpu_names() and not torch.cuda.is_available():
        cuda_error = cuda_error or "torch sees no CUDA device"
    errors, resolved = [], load_profile(profile).resolved()
    forecast = None
    try:
        tasks = load_taskset(resolved["tasks"]["name"], resolved["tasks"]["options"])
        forecast = outlook(resolved, tasks.names, runs_dir)
        check_taskset(resolved["tasks"]["name"], resolved["tasks"]["options"])
    except PoiseError as e:
        errors.append(str(e))
    try:
        model_dir(resolved["model"])
    except PoiseError as e:
        errors.append(str(e))
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "trl": _version("trl"),
        "transformers": _version("transformers"),
        "drivers": list(gpu_names()),
        "gpus": gpus,
        "cuda_error": cuda_error,
        "profile_error": "; ".join(errors) or None,
        "outlook": forecast,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(look(asked["profile"], asked.get("runs_dir") and Path(asked["runs_dir"]))))
