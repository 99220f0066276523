# Makes .venv, here and in projects that `pipeline init` makes; only Python ≥ 3.11, git and make need to be there.
SHELL := /bin/bash
PYTHON ?= python3
# Which build of PyTorch, by uv's names: cpu, cu130, rocm7.0 …; PyPI's without one. `make setup TORCH=cpu`
TORCH ?=
# What is optional, by its names in pyproject.toml: `make setup EXTRAS=export,s3`
EXTRAS ?=
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export UV_PYTHON := $(CURDIR)/.venv/bin/python

.PHONY: setup

# The pins in the file $(1). A PyTorch that is not PyPI's stays as it is, without what PyPI's brings for CUDA.
define pins
	@if .venv/bin/python -c 'from importlib.metadata import version as v; exit("+" not in v("torch"))' 2> /dev/null; \
	  then awk '/^[a-z]/ { keep = !/^(torch==|triton==|nvidia-|cuda-)/ } keep' $(1); else cat $(1); fi > .venv/$(1)
endef
# Compiled at once, or every import would do it again where Python may not write: seconds each time.
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
	.venv/bin/uv pip install --quiet --no-deps --no-build-isolation --offline --editable .  # the command `pipeline`
	# Git merges what it writes, in a repository of its own.
	if inside=$$(git rev-parse --show-prefix 2> /dev/null) && [ -z "$$inside" ]; then .venv/bin/python -m pipeline setup; fi
	touch $@
