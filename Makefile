# Every target sets up .venv by itself; `make help` lists them.
PIPELINE ?= pipeline.yaml
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help run plan status test test-slow test-gpu test-slurm test-ray test-browser test-terminal chaos lint types check format docs bench samples clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.installed ## render PIPELINE (pipeline.yaml); what is done is not rendered again
	@$(BIN)/nst-batch run $(PIPELINE) $(ARGS)

plan: $(VENV)/.installed ## show what `make run` would render, and why
	@$(BIN)/nst-batch plan $(PIPELINE) $(ARGS)

status: $(VENV)/.installed ## show what is done, failed and left
	@$(BIN)/nst-batch status $(PIPELINE) $(ARGS)

test: $(VENV)/.installed-dev ## run the tests, but for slow ones
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal $(ARGS)

test-slow: $(VENV)/.installed-dev ## run the tests that take long
	$(BIN)/python -m pytest -m "slow and not slurm" $(ARGS)

test-gpu: $(VENV)/.installed-dev ## run the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu $(ARGS)

test-slurm: $(VENV)/.installed-dev ## run the tests on a real Slurm, which is installed where there is root and apt
	$(BIN)/python -m pytest -m slurm $(ARGS)

test-ray: $(VENV)/.installed-dev ## run the tests on a Ray cluster of two nodes, where Ray can be installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[ray]' || echo 'no Ray for this Python: its tests are skipped'
	$(BIN)/python -m pytest -m ray $(ARGS)

test-browser: $(VENV)/.installed-dev ## run the tests of the page in a real Chromium, which is installed where there is root and apt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[browser]' || echo 'no Playwright for this Python: its tests are skipped'
	$(BIN)/python -m pytest -m browser $(ARGS)

test-terminal: $(VENV)/.installed-dev ## run the tests that draw in a real tmux
	$(BIN)/python -m pytest -m terminal $(ARGS)

chaos: $(VENV)/.installed-dev ## kill, stop and starve real runs: ARGS="--faults 50 --seed 1"
	$(BIN)/python -m tests.chaos $(ARGS)

lint: $(VENV)/.installed-dev ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev ## check types
	$(BIN)/mypy

check: lint types test ## all three

format: $(VENV)/.installed-dev ## put style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed ## write docs/commands.md and the generated tables of docs/ anew
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/make_commands.py

bench: $(VENV)/.installed ## measure beside the plain method: ARGS="closure --sizes 512", or all stages (forty minutes)
	$(BIN)/python -m benchmarks $(ARGS)

samples: $(VENV)/.installed ## draw the sample pictures in data/ again
	$(BIN)/python data/make_samples.py

clean: ## remove .venv and caches (never outputs)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find nst_batch tests benchmarks data docs -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: pip runs only when pyproject.toml is newer than what is installed.
$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, not " + sys.version)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed
