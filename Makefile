# Two commands to remember: `make fix` and `make check`. Everything runs in .venv, made from the lock files.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
# The first interpreter of 3.11 to 3.13 that runs: some machines have names on the path that do not.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
SAY = @printf '\n== %s\n'

.PHONY: help setup setup-dev demo demo-aws test-aws ui serve ask check fix test prove audit soak bench lock image clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

# Compiled when first imported, not before: a third of the size, and most modules are never imported.
unexport PYTHONDONTWRITEBYTECODE
SYNC := VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --require-hashes

$(BIN)/uv: | requirements.lock
	@test -n '$(PYTHON)' || { echo 'Expected Python 3.11, 3.12 or 3.13 with venv; found none on the path. Install one, or run make PYTHON=/path/to/python.'; exit 2; }
	$(SAY) 'Making $(VENV) with $(PYTHON)'
	@$(PYTHON) -m venv $(VENV)
	@awk '/^[a-z]/ { uv = /^uv==/ } uv' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock

$(VENV)/.base: requirements.lock | $(BIN)/uv
	$(SAY) 'Installing the libraries into $(VENV) (0.8 GB; seconds on a fast line; only when the lock changes)'
	@SECONDS=0; $(SYNC) requirements.lock && \
	  echo "$(CURDIR)" > "$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')/churn_assets.pth" && \
	  printf '#!/bin/sh\nexec "$(CURDIR)/$(BIN)/python" -P -m churn_assets.cli "$$@"\n' > $(BIN)/churn && chmod +x $(BIN)/churn && \
	  touch $@ && echo "installed in $$SECONDS s"

$(VENV)/.dev: requirements-dev.lock $(VENV)/.base
	$(SAY) 'Installing the tools for tests and checks'
	@SECONDS=0; $(SYNC) requirements-dev.lock && touch $@ && echo "installed in $$SECONDS s"

setup: $(VENV)/.base ## install what is needed to run
setup-dev: $(VENV)/.dev ## and what is needed to work on it

demo: setup ## make a sample lake, retrain, score a batch (under a minute after the installation)
	$(SAY) 'The main job on made-up customers, in ./churn_home'
	@SECONDS=0; $(BIN)/churn sample && $(BIN)/churn retrain sample && $(BIN)/churn score sample 2025-09 && echo "All of it took $$SECONDS s. See it: make ui. Ask it: make ask"

demo-aws: setup-dev image ## the same on AWS, with stand-ins that execute: no account
	$(SAY) 'S3, Glue, Athena and SageMaker on this machine; nothing leaves it'
	@SECONDS=0; $(BIN)/python -m tests.aws.demo && echo "All of it took $$SECONDS s."

test-aws: setup-dev ## on a real account, with STACK=<name>: deploy, retrain and score the sample, tear down; skipped without one
	@$(BIN)/python -m tests.aws.smoke '$(STACK)'

ui: setup ## the Dagster UI on http://127.0.0.1:3000
	@$(BIN)/churn ui

serve: setup ## ask the sample's model, on http://127.0.0.1:8080
	@$(BIN)/churn serve sample

# Any free port, found in the line that the server prints; it ends with the shell, whatever happens.
DATASET ?= sample
ask: setup ## after make demo: start that server, ask it about one customer, end it (seconds)
	@SECONDS=0; said=$$(mktemp); $(BIN)/churn serve $(DATASET) --port 0 --workers 1 > $$said & server=$$!; \
	  trap 'kill $$server; wait $$server; rm -f $$said' EXIT; \
	  until url=$$(grep -o 'http://[^;]*' $$said) && curl --silent --fail --output /dev/null $$url/ping; do \
	    kill -0 $$server || exit 1; sleep 0.1; done; \
	  curl --silent --show-error --fail $$url/page-data/example | curl --silent --show-error --fail $$url/invocations \
	    -H 'Content-Type: application/json' --data @- && echo && echo "Answered in $$SECONDS s, the server's start included." >&2

check: setup-dev ## lint, types, architecture
	$(SAY) 'Lint, format, types, architecture'
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: setup-dev ## mend what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Three workers for two cores: many tests wait for a server or a process. In the order of the folders: by default the files with the fewest tests
# come last, and the longest of all are among them.
test: setup-dev ## the tests, under five minutes
	$(SAY) 'Tests (a few minutes)'
	@SECONDS=0; $(BIN)/python -m pytest -n $$(($$(getconf _NPROCESSORS_ONLN) * 3 / 2)) --dist loadfile --no-loadscope-reorder -m 'not prove' --durations=15 && echo "took $$SECONDS s"

# Three at a time on two cores: many proofs wait for a daemon's clock. Those of a group share what is slow to start. The longest come first.
prove: setup-dev image ## kills, daemons, other Pythons: under 45 minutes
	$(SAY) 'Proofs on real processes'
	@SECONDS=0; $(BIN)/python -m pytest -n 3 --dist loadgroup --no-loadscope-reorder -m prove --durations=10 && echo "took $$SECONDS s"

audit: setup-dev ## known vulnerabilities of the locked packages, or that no database could be reached
	$(SAY) 'Advisories'
	@$(BIN)/python -m benchmarks.advisories

soak: setup-dev ## kills, power cuts, full disks, damage, an hour of requests: hours; writes into benchmarks/results/
	$(SAY) 'Harm of every kind, and what survives it'
	$(BIN)/python -m benchmarks.reliability
	$(BIN)/python -m benchmarks.steady --minutes 60

# A Python 3.12 with the managed image's versions and nothing of ours: steps must run there too. Where none is found, uv fetches one.
# What the steps import is compiled here: a job writes no bytecode, and without it each would spend three seconds of processor on it.
PYTHON312 ?= $(shell for p in python3.12 $$HOME/.pyenv/versions/3.12*/bin/python $(PYTHON); do \
  $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null && echo $$p && break; done)
image: .venv-image/.done
.venv-image/.done: requirements-image.lock | $(VENV)/.dev
	$(SAY) 'Installing the managed image'\''s versions into .venv-image'
	@$(BIN)/uv venv --quiet --clear --python $(or $(PYTHON312),3.12) .venv-image && \
	  VIRTUAL_ENV=.venv-image $(BIN)/uv pip sync --quiet --require-hashes requirements-image.lock && \
	  PYTHONPATH=. .venv-image/bin/python -c 'import optuna, churn_model.steps.train, churn_model.steps.evaluate, churn_model.steps.score' && touch $@

bench: setup-dev ## measure the ratios in benchmarks/results/speed.md
	$(BIN)/python -m benchmarks

lock: setup-dev ## resolve the libraries anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --generate-hashes pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --generate-hashes --extra dev --extra aws --extra mcp --extra load -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile --quiet --python-version 3.12 --python-platform x86_64-manylinux_2_28 --no-emit-index-url --no-emit-find-links --no-header --generate-hashes infra/image.in -o requirements-image.lock

clean: ## remove what was made, not the working folder
	rm -rf $(VENV) .venv-image .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
