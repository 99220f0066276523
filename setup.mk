# Creates .venv, in this repository and in projects of `pipeline init`. Requires Python ≥ 3.11, git and make.
SHELL := /bin/bash
PYTHON ?= python3
# The build of PyTorch, by uv's names: cpu, cu130, rocm7.0 …; PyPI's if empty. `make setup TORCH=cpu`
TORCH ?=
# Optional dependencies, by their names in pyproject.toml: `make setup EXTRAS=export,s3`
EXTRAS ?=
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export UV_PYTHON := $(CURDIR)/.venv/bin/python

.PHONY: setup

# The pins of file $(1). A PyTorch that is not PyPI's is kept; then the CUDA packages of PyPI's are left out.
define pins
	@if .venv/bin/python -c 'from importlib.metadata import version as v; exit("+" not in v("torch"))' 2> /dev/null; \
	  then awk '/^[a-z]/ { keep = !/^(torch==|triton==|nvidia-|cuda-)/ } keep' $(1); else cat $(1); fi > .venv/$(1)
endef
# Compiles bytecode now: where Python may not write, each import would compile again, which takes seconds.
define install
	$(call pins,$(1))
	.venv/bin/uv pip install --quiet --compile-bytecode --no-deps --require-hashes -r .venv/$(1)
endef

setup: .venv/ready  ## a virtual environment in .venv, with pinned requirements
ifneq ($(EXTRAS),)
	$(call pins,requirements-dev.txt)
	.venv/bin/uv pip install --quiet --compile-bytecode --no-build-isolation $(if $(TORCH),--torch-backend $(TORCH)) \
	  -c .venv/requirements-dev.txt -c requirements-timm.txt --editable ".[$(EXTRAS)]"
endif

.venv/ready: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
	@if [ -n "$(TORCH)" ]; then .venv/bin/uv pip install --quiet --torch-backend "$(TORCH)" "$$(grep -om1 '^torch==[^ ]*' requirements.txt)"; fi
	$(call install,requirements.txt)
	.venv/bin/uv pip install --quiet --no-deps --no-build-isolation --offline --editable .  # installs the command `pipeline`
	# Configures Git's merges, if this folder is the top of a repository.
	if inside=$$(git rev-parse --show-prefix 2> /dev/null) && [ -z "$$inside" ]; then .venv/bin/python -m pipeline setup; fi
	touch $@
