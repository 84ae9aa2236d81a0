# Two commands from a clone: `make run` and `make test`. Needed: bash, and Python 3.11 to 3.13 with its venv module.
# ARGS goes to the command: make run ARGS="seed=1"    make test ARGS="-k cells"    make report ARGS="outputs/sweeps"

.DEFAULT_GOAL := help
.PHONY: help run test test-all check report tensorboard docs clean always

ARGS ?=
EXTRAS ?= test

# Only .venv counts, whatever environment make is called from.
unexport PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX
export PYTHONNOUSERSITE := 1
export PIP_USER := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1@\2/p' Makefile | while IFS=@ read -r name text; do printf 'make %-12s %s\n' "$$name" "$$text"; done

run: .venv/.ready ## train experiment 4 of Hochreiter & Schmidhuber 1997 (T=100); settings: make run ARGS="seed=1"
	@.venv/bin/lstmlab experiment=hs97/4_adding_100 $(ARGS)
	$(if $(ARGS),,@echo 'next         make run ARGS="trials=16"')

test: .venv/.ready-$(EXTRAS) ## lint, format, types and the quick tests; some: make test ARGS="-k cells"
	@$(MAKE) --no-print-directory check
	@.venv/bin/pytest -n auto --dist worksteal -m "not slow" $(ARGS)

test-all: .venv/.ready-$(EXTRAS) ## the same with the slow tests: learning runs, statistics, whole commands; on JAX and PyTorch too: EXTRAS=test,backends
	@$(MAKE) --no-print-directory check
	@.venv/bin/pytest -n auto --dist worksteal $(ARGS)

check: # lint, format and types
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy

report: .venv/.ready ## one table over all runs in outputs/; another folder: make report ARGS="FOLDER"
	@.venv/bin/lstmlab-report $(ARGS)

tensorboard: .venv/.ready ## TensorBoard on outputs/
	@.venv/bin/tensorboard --logdir outputs $(ARGS)

docs: .venv/.ready-$(EXTRAS) ## the API reference, from the docstrings, into build/reference
	@TF_CPP_MIN_LOG_LEVEL=3 .venv/bin/python docs/scripts/write_reference.py

clean: ## remove .venv and what builds and tools left behind; outputs/ stays
	@rm -rf .venv build dist lstmlab.egg-info .pytest_cache .ruff_cache .mypy_cache
	@find lstmlab tasks conf tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The marks .ready, .ready-test and .ready-EXTRAS are younger than the two files whenever .venv fits them. A .venv whose Python
# does not find this very folder does not count, whatever its marks.
fits := $(shell .venv/bin/python -I -c 'import os, lstmlab; os.path.samefile(lstmlab.__path__[0], "lstmlab") and print("yes")' 2>/dev/null)

.venv/.ready: pyproject.toml constraints.txt $(if $(fits),,always)
	@.ci/environment .
	@touch $@

.venv/.ready-$(EXTRAS): pyproject.toml constraints.txt $(if $(fits),,always)
	@.ci/environment '.[$(EXTRAS)]'
	@touch .venv/.ready $(if $(findstring test,$(EXTRAS)),.venv/.ready-test) $@
