"""What the real vLLM needs on a CPU and nowhere else; importing this prepares the process. For tests alone.

vLLM's CPU platform packs the weights of linear layers for its own matrix product after loading, and cannot load into
them again: a synchronisation ends in "'Parameter' object has no attribute 'weight_loader'". Its own switch for layers
that must not be packed is set for all of them here. On a GPU nothing is packed, so the program itself needs none of it.
"""

from __future__ import annotations

import os

ENVIRONMENT = {
    "VLLM_CPU_CI_ENV": "1",  # no survey of the machine's processors
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
    "TORCHDYNAMO_DISABLE": "1",
    "HF_HUB_OFFLINE": "1",
}

os.environ.update(ENVIRONMENT)

from vllm.model_executor.layers.linear import LinearBase  # noqa: E402 - after its environment
from vllm.platforms import current_platform  # noqa: E402

if not current_platform.is_cpu():
    raise RuntimeError("these tests are of vLLM's CPU platform; this vLLM is built for another one")
LinearBase._cpu_skip_gemm_dispatch = True
