# What people type. `make demo` to see it work, `make check` while working, `make test` before pushing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
VERSIONS := 3.9 3.10 3.11 3.12 3.13

.PHONY: help demo test check bench bench-data chaos soak fmt golden clean venv engine base-images format-check lint types layers scripts stream-tests fast-tests

help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: VERSIONS := 3.9 3.10 3.11
demo: venv engine base-images ## recorded speech through containers of three Python versions, and out as words
	hack/demo

test: check engine base-images ## everything that CI runs, engine tests included
	$(BIN)/pytest --fail-on-skip tests/engine

check: venv ## format, lint, types, layers and all tests that need no Docker
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target format-check lint types layers scripts stream-tests fast-tests

format-check: venv
	$(BIN)/ruff format --check --quiet .

lint: venv
	$(BIN)/ruff check --quiet .

types: venv
	$(BIN)/mypy

layers: venv
	$(BIN)/lint-imports --no-logo

scripts: venv
	$(BIN)/shellcheck $$(git ls-files --cached --others --exclude-standard hack .ci | xargs grep -lE '^#!.*\b(ba)?sh\b')

# These wait more than they compute, so they run beside the others.
stream-tests: venv
	$(BIN)/pytest --quiet --fail-on-skip tests/stream

fast-tests: venv
	$(BIN)/pytest --quiet --fail-on-skip --ignore=tests/engine --ignore=tests/chaos --ignore=tests/stream tests

bench: venv engine base-images ## measure everything beside its peers, each in one run; with 100 containers, too
	for bench in hack/bench-*; do echo "# $$bench"; $(BIN)/python "$$bench"; done
	$(BIN)/python hack/bench-control --large --rounds 1

bench-data: venv engine base-images ## measure the data plane against raw iceoryx2, sockets and dora-rs, in one run
	$(BIN)/python hack/bench-data --picture docs/data-plane.svg

chaos: venv engine base-images ## thousands of random histories on a model engine, some on the real one (bounded)
	hack/chaos

soak: venv base-images ## 1,000 sessions in a row, a third killed, leave nothing; streams for minutes (bounded)
	hack/soak

fmt: venv ## format, and repair what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: venv ## write the golden texts anew; look at the difference before you commit it
	$(BIN)/pytest tests/golden --rewrite-golden

venv: .venv/made ## the virtual environment with all tools in it

.venv/made: pyproject.toml hack/venv
	hack/venv

engine:
	hack/engine-up

base-images: venv engine
	hack/base-images $(VERSIONS)

clean: ## remove what was made here; images and cached base images stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
