# One entry point for every chore. `make help` prints this file's own remarks.
SERVES := import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 13)))
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do $$p -c '$(SERVES)' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
FOR ?=
RESET ?=
BASE_PORT ?=
NODES ?= 4
SEED ?= 1
SHARE ?= 1
FIRST ?= 1
HISTORIES ?= 50
SECONDS ?= 20
HOURS ?= 8

.DEFAULT_GOAL := help
.PHONY: help setup testnet test check sim sim-check sim-long twins-long fuzz fuzz-long crash-long soak money-long bench bench-full docs clean

help: ## print this
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.ready ## create .venv with everything that a node and its tests need

.venv/.ready: pyproject.toml
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(SERVES)' 2>/dev/null || \
	  { echo "Concento needs CPython 3.11 or 3.12; found: $$($(or $(PYTHON),python3) --version 2>&1 || echo none)." >&2; \
	    echo "Install one, then: make setup PYTHON=/path/to/python3.12" >&2; exit 2; }
	@printf 'Setting up .venv (first run only) ... '; start=$$(date +%s); \
	  $(PYTHON) -m venv .venv > .venv.log 2>&1 && $(BIN)/python -m pip install -q -e '.[dev]' >> .venv.log 2>&1 \
	    || { echo failed; tail -n 20 .venv.log >&2; \
	         echo "On Debian and Ubuntu the missing piece is often: apt-get install python3-venv" >&2; exit 9; }; \
	  rm -f .venv.log; touch $@; echo "done in $$(( $$(date +%s) - start )) s"

testnet: setup ## 4 validators and a gateway; plays the story, then a live table (FOR=0: story only; RESET=1: new chain; NODES=n; BASE_PORT=n)
	@$(BIN)/python examples/story.py --nodes $(NODES) $(if $(FOR),--for $(FOR)) $(if $(RESET),--reset) $(if $(BASE_PORT),--base-port $(BASE_PORT))

test: setup ## the whole test suite, in parallel
	@$(BIN)/python -m pytest -q -n auto

check: setup ## format, lint, types, architecture, unit tests: under a minute
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q -n auto -m 'not e2e' tests/test_architecture.py tests/concento tests/consensus

sim: setup ## one run of four replicas under faults and liars, always the same for SEED=n; prints what a red one needs
	@$(BIN)/python -m sim --seed $(SEED)

sim-check: setup ## 1,500 of them, every kept run and all twins of two rounds: what a change is given (SHARE=0.1; FIRST=seed)
	@$(BIN)/python -m sim --check --share $(SHARE) --first $(FIRST)

sim-long: setup ## 20,000 of them; goes on where it was stopped (.sim-state.json)
	@$(BIN)/python -m sim --long

twins-long: setup ## all twins of three rounds, and of one round whose words are split apart; goes on (.sim-twins.json)
	@$(BIN)/python -m sim --twins words && $(BIN)/python -m sim --twins 3

fuzz: setup ## spoilt frames, handshakes, transactions, segments, proofs, requests, key files: 20 s each (SECONDS; TARGET, SEED, CASE)
	@PYTHONPATH=.:tests $(BIN)/python -m fuzz --seed $(SEED) --seconds $(SECONDS) \
	  $(if $(TARGET),--target $(TARGET)) $(if $(CASE),--case $(CASE))

fuzz-long: setup ## the same for ten minutes each
	@PYTHONPATH=.:tests $(BIN)/python -m fuzz --seed $(SEED) --seconds 600 $(if $(TARGET),--target $(TARGET))

money-long: setup ## thousands of random histories of payments against a second, slow model (HISTORIES=n times the usual number)
	@CONCENTO_HISTORIES=$(HISTORIES) CI= $(BIN)/python -m pytest -q -n auto --durations=0 tests/state/modules/test_royalties_model.py \
	  tests/state/modules/test_lineage_histories.py tests/state/test_statements.py tests/state/test_histories.py

crash-long: setup ## kill a real node at its first 40 writes and syncs and three of each kind, in every way, 50 times; goes on where it was stopped
	@$(BIN)/python -m bench.crashes --times 50

soak: setup ## a network under mixed load and faults for HOURS; memory, descriptors, disk, rate and latency must not grow
	@$(BIN)/python -m bench.soak --hours $(HOURS)

bench: setup ## speed as a ratio to the signature limit, finality, and CometBFT beside it where it is installed
	@$(BIN)/python -m bench

bench-full: setup ## all arms and mixes, longer: about half an hour
	@$(BIN)/python -m bench --full

docs: setup ## make the generated pages of docs/ again
	@$(BIN)/python docs/make.py

clean: ## remove what setup and the tools made
	@rm -rf .venv .venv.log .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
