# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STEPS ?= 1500000

OLDEST := .venv-oldest
SMOKE := env spaces seeding same_bits failures checkpoints foreign_games recording transformer demonstrations league

.PHONY: setup demo test test-oldest lint docs clean

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

# The oldest versions that pyproject.toml allows, on a part of the tests.
test-oldest:
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --constraint constraints.txt torch pytest pytest-xdist hypothesis
	$(OLDEST)/bin/python scripts/oldest.py learn cli view sysid > $(OLDEST)/oldest.txt
	$(OLDEST)/bin/python -m pip install --quiet --constraint $(OLDEST)/oldest.txt --editable '.[cli,view,sysid]'
	$(OLDEST)/bin/python -m pytest $(SMOKE:%=tests/test_%.py)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: setup
	$(BIN)/embodied architecture docs/architecture.svg
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Open site/index.html"

clean:
	rm -rf $(VENV) $(OLDEST) site .pytest_cache .ruff_cache .mypy_cache
