# Everything from a machine with nothing but Python 3.11 (and Go, where Temporal's CLI cannot be downloaded).
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
# Most of a test is waiting: three at a time on their own servers.
PYTEST_ARGS ?= -n 3 --dist worksteal -m "not proof" --durations 15
# Written last, so that a set-up that was cut off is done again.
READY := $(VENV)/.ready

.PHONY: help setup demo up test proof chaos lint format lock bench clean

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup: $(READY) ## Make .venv with everything that the lock names

$(READY): requirements.lock pyproject.toml services/client/pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make setup PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)'
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes --no-deps -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e services/client -e .
	@touch $(READY)

demo: setup ## Run the main job on the sample conversation
	$(BIN)/afterturn demo

up: setup ## Run the whole stack until Ctrl-C, and print its addresses
	$(BIN)/afterturn up

test: setup ## Run the tests, against real servers
	@# Before the tests, whose time is limited: building it can take minutes, once.
	$(BIN)/python -m services.embedded.temporal_cli
	$(BIN)/python -m tests.support.browser
	$(BIN)/python -m tests.support.kubernetes_manifests
	$(BIN)/python -m tests.support.prometheus
	$(BIN)/python -m pytest $(PYTEST_ARGS)

proof: setup ## Run the tests that take long: compose's own stack on Temporal's real server, Kubernetes' pods, versions of workers, two days of outage, restores, a real Ollama
	$(BIN)/python -m tests.support.go_programs
	$(BIN)/python -m pytest -m proof

chaos: setup ## Ten minutes of kill -9 everywhere, then the count (docs/proof.md)
	$(BIN)/python -m tests.chaos.storm

lint: setup ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd services/client && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache/client -p afterturn_client
	$(BIN)/lint-imports

format: setup ## Put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Not uv.lock: that would write download addresses into the repository.
lock: setup ## Choose and pin the versions anew
	$(BIN)/uv pip compile -q pyproject.toml --extra embedded --group dev --universal --generate-hashes \
		--no-emit-index-url --no-emit-package afterturn-client --no-header -o requirements.lock --python-version 3.11
	$(BIN)/uv pip compile -q pyproject.toml --universal --generate-hashes --no-emit-index-url --no-emit-package afterturn-client \
		--no-header -c requirements.lock -o compose/requirements.lock --python-version 3.11

bench: setup ## Measure on this machine
	$(BIN)/python -m tests.benchmarks
	$(BIN)/python -m tests.benchmarks.search
	$(BIN)/python -m tests.benchmarks.proxy
	$(BIN)/python -m tests.benchmarks.imports
	$(BIN)/python -m tests.benchmarks.recording
	$(BIN)/python -m tests.benchmarks.backfills
	$(BIN)/python -m tests.benchmarks.sections
	$(BIN)/python -m tests.benchmarks.pipeline
	$(BIN)/python -m tests.benchmarks.growth

clean: ## Remove the environment and what tools keep; .afterturn, your data, stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info services/client/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
