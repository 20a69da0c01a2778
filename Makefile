# Everything starts here: `make` lists what there is. A fresh machine needs Python 3.11 or newer and nothing else;
# each target first prepares the virtual environment in .venv from requirements.lock, when one of them has changed.

APP ?= examples/photos/app.py

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOCS_READY := $(VENV)/.docs-ready
CELERY_VENV := .venv-celery
CELERY_READY := $(CELERY_VENV)/.ready
UV := uv==0.13.8

# What is linted: those of these folders that exist.
CODE := $(wildcard src tests examples bench)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help dev examples test unit conformance integration acceptance programs lint format chaos soak cluster bench docs lock clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

dev: $(READY)  ## run API, worker and scheduler with the example (APP=module:app or path/file.py for another)
	$(BIN)/penstock dev $(APP)

# Each with its servers, from the file that would deploy it (tests/running reads it): `make example-flask_api`.
example-%: $(READY) programs
	$(BIN)/python -m tests.running examples/$*

examples:  ## list the example systems; `make example-NAME` starts one and tells what to try
	@for name in $(notdir $(patsubst %/README.md,%,$(wildcard examples/*/README.md))); do echo "make example-$$name"; done

test: unit conformance integration acceptance  ## run all tests, in this order

unit: $(READY)  ## test values and rules, in memory: no sockets, no sleeping
	$(BY_TWO) --dist worksteal tests/unit

conformance: $(READY) programs  ## test every broker and result backend against the same suites
	$(BY_TWO) --dist worksteal tests/conformance

integration: $(READY) $(CELERY_READY) programs  ## test what happens when processes are killed and connections cut
	$(BY_TWO) tests/integration
	$(ALONE) tests/integration

acceptance: $(READY) programs  ## test the installed command, HTTP, what a browser lets through and the examples
	$(BY_TWO) tests/acceptance
	$(ALONE) tests/acceptance

# Most tests wait most of the time, so two processes share a ring, each with servers of its own; a file is not split, as
# its tests may share what takes long to start. What would suffer from a neighbour is marked `alone` and comes after.
BY_TWO = $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not alone" --durations 20
ALONE = $(BIN)/pytest -m alone --durations 5

# The tests that need a program fail where it is missing; so it is installed where that is possible.
programs:
	@sh tests/programs.sh

lint: $(READY)  ## check style, format, types and who imports whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo

format: $(READY)  ## put the code into its format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

chaos: $(READY) programs  ## break things at random for ten minutes, on every broker, then a cluster; the ledger must be right
	$(BIN)/python -m tests.chaos
	$(BIN)/python -m tests.chaos --brokers cluster --seconds 120 --tasks 6000

cluster: $(READY) programs  ## start three RabbitMQ nodes with a quorum queue, until Ctrl-C
	$(BIN)/python -m tests.cluster

soak: $(READY) programs  ## half an hour of steady load on every broker at once; nothing may grow beyond its bound
	$(BIN)/python -m tests.soak

bench: $(READY) programs  ## measure throughput and latency beside other queues (ONLY=redis,huey for a part, SCALE=0.01 for a try)
	$(BIN)/python -m bench

docs: $(DOCS_READY)  ## build the documentation into site/
	$(BIN)/properdocs build --strict --quiet
	@echo "Open site/index.html"

# Remakes the lock files from pyproject.toml with the newest versions. We use scikit-image for its photographs only, so
# what its code would need stays out; that is also why the lock is installed with --no-deps.
lock: $(READY)  ## pin the newest versions of all dependencies
	$(BIN)/python -m pip install --quiet $(UV)
	$(COMPILE) pyproject.toml --group dev --output-file requirements.lock \
	    $(foreach name,imageio lazy-loader networkx numpy scipy tifffile,--no-emit-package $(name))
	$(COMPILE) --group docs --constraint requirements.lock --output-file docs/requirements.lock
	$(COMPILE) --group celery --output-file tests/celery/requirements.lock
	$(COMPILE) --group bench --output-file bench/requirements.lock
	cd bench/node && rm -f package-lock.json && npm install --package-lock-only --omit-lockfile-registry-resolved --silent

COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --upgrade --quiet \
	--no-annotate --custom-compile-command "make lock"

clean:  ## remove the environment, caches and builds
	rm -rf $(VENV) $(CELERY_VENV) site dist build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests examples bench -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# The first Python of these that is new enough and can make environments (Debian ships that part separately).
$(BIN)/python:
	@for python in python3 python3.13 python3.12 python3.11; do \
	    "$$python" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    echo "Making $(VENV) with $$("$$python" --version)"; \
	    exec "$$python" -m venv $(VENV); \
	done; \
	echo "Python 3.11 or newer with its venv module is needed: apt-get install python3 python3-venv" >&2; exit 1

$(READY): $(BIN)/python pyproject.toml requirements.lock
	@echo "Installing requirements.lock and Penstock into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(DOCS_READY): $(READY) docs/requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r docs/requirements.lock
	@touch $@

# Real Celery shares servers with Penstock in the tests, never an environment.
$(CELERY_READY): $(BIN)/python tests/celery/requirements.lock
	@echo "Installing tests/celery/requirements.lock into $(CELERY_VENV)"
	@$(BIN)/python -m venv --clear $(CELERY_VENV)
	@$(CELERY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	    -r tests/celery/requirements.lock
	@touch $@
