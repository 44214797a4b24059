# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STEPS ?= 1500000

.PHONY: setup demo test lint docs clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	rm -rf runs/demo
	$(BIN)/embodied train Signpost-v0 --steps $(STEPS) --run runs/demo
	$(BIN)/embodied evaluate runs/demo
	$(BIN)/embodied play runs/demo --rerun runs/demo/play.rrd
	@echo
	@echo "Watch it:       $(BIN)/embodied play runs/demo --rerun live      (or --rerun web)"
	@echo "Learning curve: $(BIN)/tensorboard --logdir runs/demo"
	@echo "Measured results over several seeds, and a network without memory: docs/results/index.md"

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: setup
	$(BIN)/embodied architecture docs/architecture.svg
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Open site/index.html"

clean:
	rm -rf $(VENV) site .pytest_cache .ruff_cache .mypy_cache
