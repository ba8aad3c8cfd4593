# segserve: every task. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export SEGSERVE_DATA_DIR ?= $(CURDIR)/.segserve

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "segserve needs Python 3.11 or newer; found " + sys.version.split()[0] + ". Name another with: make PYTHON=python3.12 ...")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python has no venv module; install it (Debian: python3-venv) and run make again."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: requirements/run.lock pyproject.toml | $(VENV)/.created
	@echo "Installing the locked packages (once; a minute or so) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.lock | $(VENV)/.run
	@echo "Installing the locked development packages ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@touch $@

$(VENV)/.bench: requirements/bench.lock | $(VENV)/.run
	@echo "Installing the locked peers to measure against ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.lock
	@touch $@

.PHONY: run
run: $(VENV)/.run ## Start the service with the demo on http://127.0.0.1:8000
	@exec $(BIN)/segserve run

.PHONY: demo-remove
demo-remove: $(VENV)/.run ## Take the demo out again
	$(BIN)/segserve demo remove

.PHONY: test
test: $(VENV)/.dev ## Run every test (needs nothing but this checkout)
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

.PHONY: lint
lint: $(VENV)/.dev ## Style, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: format
format: $(VENV)/.dev ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(VENV)/.dev $(VENV)/.bench ## Measure; prints ratios to peers in the same run
	$(BIN)/python -m benchmarks

.PHONY: openapi
openapi: $(VENV)/.run ## Write openapi.yaml from the code
	$(BIN)/segserve openapi > openapi.yaml.new && mv openapi.yaml.new openapi.yaml

.PHONY: fuzz
fuzz: $(VENV)/.dev ## Ask every route a thousand things that openapi.yaml allows and forbids
	SEGSERVE_FUZZ_EXAMPLES=$(or $(EXAMPLES),1000) $(BIN)/python -m pytest tests/contracts/test_schemathesis.py -n 0 -s -q

.PHONY: demo-check
demo-check: $(VENV)/.dev ## Hold the whole demo to its known answers; some minutes
	SEGSERVE_DEMO=whole $(BIN)/python -m pytest tests/demo/test_loaded.py -n 0 -q

.PHONY: lock
lock: $(VENV)/.dev ## Pin every dependency again (needs uv in the environment)
	$(BIN)/uv pip compile pyproject.toml requirements/build.in --extra demo --extra places --universal --generate-hashes --no-header --quiet -c requirements/constraints.in -o requirements/run.lock
	$(BIN)/uv pip compile pyproject.toml requirements/build.in --extra demo --extra places --extra dev --universal --generate-hashes --no-header --quiet -c requirements/run.lock -o requirements/dev.lock
	$(BIN)/uv pip compile pyproject.toml requirements/build.in --extra demo --extra places --extra bench --universal --generate-hashes --no-header --quiet -c requirements/dev.lock -o requirements/bench.lock
