# Everything a person does with this project. `make help` lists it.

BIN := .venv/bin
PREFLIGHT := python3 scripts/preflight.py
FAST_TESTS := $(wildcard tests/unit tests/property tests/sim)
CODE := src tests scripts images bench

.PHONY: help demo demo-down setup test test-fast test-lab lint types bench soak fresh check

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: ## a cloud of three hosts on this machine, left running
	@$(PREFLIGHT) --for demo
	@scripts/venv.sh
	@$(BIN)/python images/build.py build/demo.tar
	@scripts/demo.sh

demo-down: ## stop the demo and remove everything of it
	@$(BIN)/shoal lab down

setup: # preflight and .venv; as root the tools of the lab as well
	@$(PREFLIGHT) --for test
	@scripts/venv.sh

test: setup ## all tests: those without root first, then the lab's
	$(BIN)/pytest $(FAST_TESTS) -n 2 -m "not lab"
	$(BIN)/pytest tests -m lab

test-fast: ## unit, property and simulation tests: any system, no root
	@scripts/venv.sh
	$(BIN)/pytest $(FAST_TESTS) -n 2 -m "not lab"

test-lab: setup ## the tests on real hosts: Linux, root
	$(BIN)/pytest tests -m lab

lint: ## style, formatting, who imports whom
	@scripts/venv.sh
	$(BIN)/ruff check $(wildcard $(CODE))
	$(BIN)/ruff format --check $(wildcard $(CODE))
	$(BIN)/lint-imports

types: ## mypy
	@scripts/venv.sh
	$(BIN)/mypy

bench: ## the table of figures, with their gates (under 25 minutes)
	@$(PREFLIGHT) --for bench
	@scripts/venv.sh
	$(BIN)/python -m bench

soak: ## the longer rows of the table, by hand
	@$(PREFLIGHT) --for bench
	@scripts/venv.sh
	$(BIN)/python -m bench --soak

fresh: ## set-up and tests in a minimal Debian 12
	@$(PREFLIGHT) --for fresh
	@scripts/fresh.sh

check: test lint types ## what CI does
