# Everything a newcomer needs; `make` alone lists it. Nothing is installed outside .venv.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
STAMP := .venv/installed
PYTHON ?= $(shell for python in python3.11 python3; do $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.PHONY: help setup demo demo-smollm2 loop test test-slow check format bench lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## create .venv and install the locked dependencies (nothing to do when up to date)

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || { echo "creating .venv with $$($(PYTHON) --version)"; $(PYTHON) -m venv .venv; }
	@echo "installing $$(grep -c == requirements.lock) locked packages (log: .venv/pip.log)"
	@$(BIN)/python -m pip install --progress-bar off -r requirements.lock 2>&1 | tee .venv/pip.log | awk "$$PIP_PROGRESS" \
		|| { grep -v 'is ignored:' .venv/pip.log | tail -n 20 >&2; exit 1; }
	@$(BIN)/python -m pip install -q --no-deps -e . 2>&1 | { grep -v 'is ignored:' || true; }
	@touch $@
	@echo "ready: $$($(BIN)/python --version), $$(du -sh .venv | cut -f1) in .venv"

# A line now and then, so that a slow network is told from a hang; the rest is in the log.
define PIP_PROGRESS
/from -r requirements.lock/ { if (++count % 25 == 0) { print "  " count " fetched"; fflush() } }
/^Installing collected/ { print "  all fetched, unpacking"; fflush() }
endef
export PIP_PROGRESS

demo: $(STAMP) ## curate the embedded traces with the embedded models, on this machine
	@$(BIN)/rdpt curate examples/demo.yaml

demo-smollm2: $(STAMP) ## the same job with SmolLM2-135M-Instruct as the teacher
	@$(BIN)/python examples/smollm2/prepare.py
	@$(BIN)/rdpt curate examples/smollm2.yaml

loop: $(STAMP) ## does the selection train a better student? the whole experiment on the miniatures
	@$(BIN)/rdpt loop examples/miniature/loop.yaml

# Tests that start Ray or a fuzzer have the machine to themselves; the others share its cores.
test: $(STAMP) ## run the tests, except the slow ones
	@$(BIN)/python -m pytest -m "not slow and not ray" -n auto --maxprocesses 8 --dist worksteal
	@$(BIN)/python -m pytest -m "not slow and ray"

test-slow: $(STAMP) ## run the slow tests
	@$(BIN)/python -m pytest -m "slow and not ray" -n auto --maxprocesses 8 --dist loadfile
	@$(BIN)/python -m pytest -m "slow and ray"

check: $(STAMP) ## format, lint, import contracts, types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/pyright

format: $(STAMP) ## format the code and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(STAMP) ## run every benchmark; each ends with one JSON object of figures
	@for benchmark in benchmarks/*.py; do echo "== $$benchmark"; $(BIN)/python $$benchmark; done

# torch is named because it decides which builds are taken: a newer one is a change of its own. The
# build suffix of a CPU wheel is cut off, so that one pin holds for CPU and CUDA builds. Run it on
# Linux with Python 3.11 and a CPU build of torch: CUDA packages are for torch itself to ask for.
# pip-compile leaves out markers; atheris has wheels for one platform only, and the tests do without.
lock: ## pin what pyproject.toml asks for, keeping pins that still fit (UPGRADE=1: newest of all)
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip install -q pip-tools==7.6.2 2>&1 | { grep -v 'is ignored:' || true; }
	@CUSTOM_COMPILE_COMMAND="make lock" build/lock/bin/pip-compile -q $(if $(UPGRADE),--upgrade) \
		--upgrade-package torch==2.13.0 --extra dev --extra gguf --extra s3 --extra gs --extra math --extra duplicates --extra distill --strip-extras --allow-unsafe \
		--no-emit-index-url --no-emit-find-links --output-file requirements.lock pyproject.toml \
		2>&1 | { grep -v 'is ignored:' || true; }
	@sed -i -e 's/^\(torch==[0-9.]*\)+.*/\1/' \
		-e 's/^atheris==[0-9.]*$$/& ; sys_platform == "linux" and platform_machine == "x86_64"/' requirements.lock

clean: ## remove caches, builds and the demo's output; keep .venv
	@rm -rf build dist out .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name .venv -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
