# What people and CI call. `make up` and `make test` need Python 3.11–3.13 with venv, make and git, nothing else.

SHELL := /bin/sh
PYTHON ?= python3
JOBS ?= 4
export UV_PYTHON_DOWNLOADS := never
# each part is a process of its own, and tests start hundreds: all would compile what they import, were it not kept
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/.venv/.bytecode

bin := .venv/bin
pins := requirements/bootstrap.txt requirements/install.py pyproject.toml

# a checkout that was moved needs its environment anew
ifneq ($(shell cat .venv/.checkout 2>/dev/null),$(CURDIR))
moved := anew
endif

.PHONY: up down status test test-all lint format lock contracts compiled console docs-images sdk-publish bench bench-console bench-gateway \
	bench-money clean anew

up: .venv/.run ## build the console, start everything in the background and run the main job
	@$(bin)/python web/build/console.py build || echo "ironworks: going on without the console" >&2
	@$(bin)/python -m ironworks.app up

down: ## stop everything; `ironworks down --purge` removes the state too
	@if [ -x $(bin)/python ]; then $(bin)/python -m ironworks.app down; fi

status: .venv/.run ## show every part
	@$(bin)/python -m ironworks.app status

# every check runs, whatever the others say, and pytest has the last word
test: .venv/.dev ## lint, types, import contracts, and every test but the long ones
	@rm -f .venv/.lint-failed; $(MAKE) --no-print-directory --keep-going --jobs=2 lint bytecode || touch .venv/.lint-failed
	@END_WITH_PARENT=1 exec $(bin)/python -m pytest -q -n $(JOBS) -m "not long"
	@test ! -e .venv/.lint-failed

test-all: .venv/.dev ## the long ones too
	@rm -f .venv/.lint-failed; $(MAKE) --no-print-directory --keep-going --jobs=2 lint bytecode || touch .venv/.lint-failed
	@END_WITH_PARENT=1 exec $(bin)/python -m pytest -q -n $(JOBS) --timeout 3600
	@test ! -e .venv/.lint-failed

.PHONY: ruff types imports web bytecode
lint: web types imports ruff
ruff: .venv/.dev
	@$(bin)/ruff check --quiet .
	@$(bin)/ruff format --quiet --check .
types: .venv/.dev
	@$(bin)/mypy
imports: .venv/.dev
	@PYTHONPATH=. $(bin)/lint-imports

# compiled once beside the checks, what tests import is not compiled by each worker at the same time
bytecode: .venv/.dev
	@$(bin)/python -m pytest -q --collect-only >/dev/null 2>&1 || true

web: .venv/.dev
	@$(bin)/python web/build/console.py check
	@$(bin)/python web/build/console.py build

format: .venv/.dev ## put the code into shape
	@$(bin)/ruff check --quiet --fix .
	@$(bin)/ruff format --quiet .

contracts: .venv/.dev ## regenerate what contracts/ publishes
	@$(bin)/python -m ironworks.app dev contracts

console: .venv/.run ## build the console into web/dist, if anything that it is made of has changed
	@$(bin)/python web/build/console.py build

docs-images: .venv/.dev ## take the pictures of docs/console-pages.md anew (some minutes)
	@$(bin)/python web/build/images.py

sdk-publish: .venv/.run ## pack @ironworks/sdk and @ironworks/ui and publish them; with --dry-run only say what would go
	+@$(bin)/python web/build/console.py publish $(if $(DRY_RUN)$(findstring n,$(firstword -$(MAKEFLAGS))),--dry-run)

compiled: .venv/.dev ## make native code of the gateway's hot modules (needs a C compiler; two minutes)
	@$(bin)/python -m ironworks.app compile

bench: .venv/.dev ## measure; each benchmark writes its page under docs/bench/
	@$(bin)/python -m bench

bench-money: .venv/.dev ## usage to transfers, freshness, balances over ten million transfers (some minutes)
	@$(bin)/python -m bench.money

bench-console: .venv/.dev ## the built console in a real browser: paints, calls, 10,000 rows, memory (some minutes)
	@$(bin)/python -m bench.console

bench-gateway: .venv/.dev ## the gateway against Envoy, LiteLLM and Portkey (compiles ours first; about half an hour)
	@$(bin)/python bench/gateway.py

# no download addresses in the pins: they work with any index
compile := $(bin)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
	--no-header --universal --python-version 3.11
lock: .venv/.dev ## pin dependencies anew after a change of pyproject.toml
	$(compile) --extra server --extra local --group build pyproject.toml -o requirements/run.txt
	$(compile) --extra server --extra local --extra compile --group build --group dev pyproject.toml \
		-o requirements/dev.txt
	$(compile) --group node -o requirements/node.txt

clean: ## remove the environment and every cache; state stays, `ironworks down --purge` removes it
	rm -rf web/node_modules web/dist web/.stamp
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.run: requirements/run.txt $(pins) $(moved)
	@command -v $(PYTHON) >/dev/null || { echo "ironworks: needs Python 3.11, 3.12 or 3.13" >&2; exit 1; }
	@$(PYTHON) requirements/install.py run

.venv/.dev: requirements/dev.txt $(pins) $(moved)
	@command -v $(PYTHON) >/dev/null || { echo "ironworks: needs Python 3.11, 3.12 or 3.13" >&2; exit 1; }
	@$(PYTHON) requirements/install.py dev

anew:
