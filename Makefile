# Tidegate from a checkout. Each target is idempotent; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REQUIREMENTS := $(VENV)/.requirements
INSTALLED := $(VENV)/.installed
CHECKOV := .checkov
TEMPLATES = template.yaml $(wildcard infrastructure/*.yaml systems/*/template.yaml)
export SAM_CLI_TELEMETRY := 0

.PHONY: help setup demo test unit systems check iam lock clean

help: ## what can be done here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(INSTALLED) ## build .venv from the pinned requirements

$(REQUIREMENTS): requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Tidegate needs Python 3.11 or later; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 2; }
	@echo "installing the pinned requirements into $(VENV): a minute or two, once"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	@touch $@

$(INSTALLED): $(REQUIREMENTS) pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

lock: ## pin the requirements again (needs uv)
	export UV_CUSTOM_COMPILE_COMMAND="make lock"; \
	compile="uv pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-strip-extras --universal --python-version 3.11"; \
	$$compile requirements/dev.in -o requirements/dev.txt && \
	$$compile requirements/checkov.in -o requirements/checkov.txt && \
	$$compile requirements/runtime.in -c requirements/dev.txt -o layers/core/requirements.txt

$(CHECKOV)/.installed: requirements/checkov.txt
	@echo "installing checkov into $(CHECKOV): half a minute, once"
	@$(PYTHON) -m venv --clear $(CHECKOV)
	@$(CHECKOV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $<
	@touch $@

demo: setup ## the main job, in the embedded cloud, in two minutes
	$(BIN)/tidegate demo

test: setup ## every test, three side by side: more than half of their time is waiting
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

unit: setup ## the tests that need nothing but Python, in seconds
	$(BIN)/pytest tests/unit -q

systems: setup ## the five systems, each environment end to end (docs/systems.md; three quarters of an hour)
	$(BIN)/pytest tests/systems/e2e --systems --numprocesses 2

check: setup $(CHECKOV)/.installed ## ruff, types, import contracts, cfn-lint, checkov, sam validate
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/cfn-lint $(TEMPLATES)
	$(CHECKOV)/bin/checkov --config-file .checkov.yaml $(addprefix --file ,$(TEMPLATES))
	$(BIN)/sam validate --lint --region us-east-1
	$(BIN)/sam validate --lint --region us-east-1 --template infrastructure/runner.yaml

iam: setup ## takes away each permission in turn: does a scenario break? (slow)
	$(BIN)/python -m tests.iam

clean: ## stop the embedded cloud, forget what was built
	-[ ! -x $(BIN)/tidegate ] || $(BIN)/tidegate local down
	rm -rf .aws-sam .checkov .tidegate .mypy_cache .ruff_cache .pytest_cache .hypothesis
