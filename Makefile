# `make` alone lists the targets. `make report` and `make test` do all their own set-up; a second run starts at once.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help setup report test test-browser lab lint clean lock

PLAN ?= data/sentiment/migration.yml
ARGS ?=
BIN := .venv/bin
INSTALLED := .venv/.installed
DEMO := practice
AXE := tests/browser/node_modules/axe-core/axe.min.js

# uv from PATH, else its own copy under .tools/, installed with whichever Python 3 the machine has.
define FIND_UV
set -eu; uv=$$(command -v uv || echo .tools/bin/uv); \
if ! "$$uv" --version >/dev/null 2>&1; then \
  for python in python3 python3.13 python3.12 /usr/bin/python3 python missing; do \
    if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1; then break; fi; \
  done; \
  if [ "$$python" = missing ]; then \
    echo 'make: neither uv nor Python 3 was found: install one of them, then run make again.' >&2; exit 1; \
  fi; \
  echo "      uv is not installed here: getting it into .tools/"; rm -rf .tools; \
  if "$$python" -m venv .tools >/dev/null 2>&1; then .tools/bin/python -m pip install -qq 'uv>=0.9'; \
  else rm -rf .tools; "$$python" -m pip install -qq --target .tools 'uv>=0.9'; fi; \
  uv=.tools/bin/uv; \
fi
endef

help: ## List these targets
	@echo 'Decide with evidence whether a candidate model may replace the one in production.'; echo
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo; echo '  PLAN=path/to/migration.yml chooses the migration (now $(PLAN)).'
	@echo '  ARGS="..." is handed on, as in: make report ARGS=--fast, make test ARGS="-k plan", make lock ARGS=--upgrade.'

setup: $(INSTALLED) ## Make .venv from the lock, with every hash checked
	@echo 'Ready: .venv has $(shell cat .python-version 2>/dev/null | sed "s/^/Python /"), the locked packages and migration-kit.'

report: $(INSTALLED) ## Run the five notebooks on PLAN and make one HTML report of them
	@$(BIN)/migration-kit run "$(PLAN)" $(ARGS)

# The tests of a file share what is slow to set up, so one process runs them all.
test: $(INSTALLED) ## Run the tests that need no browser; ARGS=--slow adds those that fit many models
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-browser: $(INSTALLED) $(AXE) ## Run the tests of pages and notebooks in Chromium
	@$(BIN)/python -m pytest --browser tests/browser -rs $(ARGS)

# JupyterLab asks no server for news or updates: the notebooks need none. Its terminals are no login shells, which would
# forget where the commands are.
lab: $(INSTALLED) ## Open the notebooks in JupyterLab, beside a small migration to practise on
	@export PATH="$$PWD/$(BIN):$$PATH"; \
	if [ ! -f runs/$(DEMO)/decision.json ]; then \
	  echo 'The notebooks show runs/$(DEMO), which is not there yet: making it with fewer draws, in one or two minutes.'; \
	  migration-kit run data/$(DEMO)/migration.yml --fast || exit $$?; \
	fi; \
	if [ ! -f runs/$(DEMO)/labels/next.csv ]; then \
	  migration-kit labels data/$(DEMO)/migration.yml --n 5 --out runs/$(DEMO)/labels/next.csv || exit $$?; \
	fi; \
	echo 'JupyterLab opens in your browser; if not, follow the link that it prints. Ctrl-C twice ends it.'; \
	jupyter-lab --LabApp.default_url=/lab/tree/notebooks --LabApp.news_url=None \
	  --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate \
	  --ServerApp.terminado_settings='{"shell_command": ["bash"]}' $(ARGS)

lint: $(INSTALLED) ## Check the style of code and notebooks
	@$(BIN)/ruff check $(ARGS) .

clean: ## Remove the environment, caches and builds; runs/ stays
	@rm -rf .venv .tools tests/browser/node_modules .pytest_cache .ruff_cache build dist
	@find . -path ./runs -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
	@echo 'Clean. The next make report or make test sets everything up again.'

lock: ## Resolve pyproject.toml anew into requirements.lock
	@$(FIND_UV); \
	"$$uv" pip compile pyproject.toml --extra dev --universal --python-version 3.12 --generate-hashes \
	  --no-emit-index-url --custom-compile-command 'make lock' --quiet --output-file requirements.lock $(ARGS); \
	echo "Locked $$(grep -c '^[a-z]' requirements.lock) packages in requirements.lock."

# The accessibility checker, its hash checked; a machine without npm does without the tests that need it.
$(AXE): tests/browser/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix tests/browser --ignore-scripts --loglevel=error && touch $@; \
	else echo 'make: npm is not installed, so the tests of accessibility are left out.' >&2; fi

# Written last, so that an interrupted set-up starts again.
$(INSTALLED): requirements.lock pyproject.toml .python-version
	@echo '[1/4] Looking for uv'; \
	$(FIND_UV); \
	wanted=$$(cat .python-version); echo "[2/4] Making .venv with Python $$wanted"; \
	found=$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo none); \
	if [ "$$found" != "$$wanted" ]; then rm -rf .venv; "$$uv" venv --quiet --python "$$wanted" .venv; fi; \
	echo '[3/4] Installing the locked packages (the first time this fetches a few hundred megabytes)'; \
	quiet=--quiet; if [ -t 2 ]; then quiet=; fi; \
	"$$uv" pip sync $$quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock; \
	echo '[4/4] Installing migration-kit'; \
	"$$uv" pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .; \
	touch $@
