"""What only a process that imports torch can tell of this machine: `python -P -m engine.loop.probe '{"profile": P}'`.

It prints one JSON object and holds no GPU afterwards.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from engine.errors import PoiseError
from engine.loop.machine import gpu_names
from engine.profiles.load_model import model_dir
from engine.profiles.schema import load_profile
from engine.tasks import check_taskset


def look(profile: str) -> dict[str, Any]:
    """Torch and what it can use, and whether a profile's model and tasks are there.

    Returns:
        `{"torch", "cuda", "trl", "transformers", "drivers": [name], "gpus": [{"name", "free", "total"}], "cuda_error",
        "profile_error"}`; free and total in bytes.
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
    profile_error = None
    try:
        resolved = load_profile(profile).resolved()
        model_dir(resolved["model"])
        check_taskset(resolved["tasks"]["name"], resolved["tasks"]["options"])
    except PoiseError as e:
        profile_error = str(e)
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "trl": _version("trl"),
        "transformers": _version("transformers"),
        "drivers": list(gpu_names()),
        "gpus": gpus,
        "cuda_error": cuda_error,
        "profile_error": profile_error,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    print(json.dumps(look(json.loads(sys.argv[1])["profile"])))
