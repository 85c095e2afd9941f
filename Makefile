# `make help` lists the targets. ENGINE=pulumi runs them on Pulumi's own engine, if Pulumi is installed.
SHELL := /bin/sh
ENGINE ?= lab
STACK ?= lab
export ENGINE
export WGMESH_PULUMI = $(LAB) run
# The command provider fails if this variable names an SSH agent that is gone. `ssh-add -l` ends with 2 then.
ifneq ($(shell timeout 5 ssh-add -l >/dev/null 2>&1; test $$? -lt 2 && echo there),there)
unexport SSH_AUTH_SOCK
endif

# Without its bytecode, each start of Python compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE

PYTHON := .venv/bin/python
LAB := $(PYTHON) -m lab --stack $(STACK)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo --preserve-env=ENGINE,PULUMI_CONFIG_PASSPHRASE,WGMESH_SHARED,CI)
PYTEST := $(SUDO) $(PYTHON) -m pytest -p no:cacheprovider

.DEFAULT_GOAL := help
.PHONY: bytecode help setup setup-dev image up preview down clean ssh reach output check lint test test-long mutants api-document stack-file bench lock

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: ## install Debian packages and .venv for `make up`; quick if nothing is missing
	@tools/setup.sh lab

setup-dev: ## also install the packages for tests and measurements
	@tools/setup.sh dev

up: setup ## start cloud, hosts and mesh on this machine; ends with a table of all pings
	@$(LAB) start
	@$(LAB) run up --yes --skip-preview
	@$(PYTHON) -m mesh reach

preview: setup ## show the changes that `make up` would make, line by line
	@$(LAB) start
	@$(LAB) run preview --diff

reach: setup ## ping every node from every node through the tunnel
	@$(PYTHON) -m mesh reach

output: setup ## print the stack's outputs
	@$(LAB) run stack output

ssh: setup ## open a shell on a node: make ssh NODE=web-1
	@test -n "$(NODE)" || { echo "name a node: make ssh NODE=web-1" >&2; exit 2; }
	@$(PYTHON) -m mesh ssh $(NODE)

down: setup ## destroy the stack, stop cloud and hosts; nothing stays outside .lab
	@$(LAB) down

clean: ## remove lab, virtual environment and caches from this folder
	@tools/clean.sh

check: setup-dev lint ## check style, format, imports and types; run the quick unit tests with few examples
	@$(PYTHON) -m pytest -p no:cacheprovider --hypothesis-profile=few -n 2 -m "not hosts and not long and not thorough" tests/unit

test: setup-dev ## run all tests except the long ones, in the same order each time (test-long: in any)
	@$(MAKE) --no-print-directory -j 2 lint image bytecode
	@$(PYTEST) -n 5 --dist loadfile --no-loadscope-reorder --randomly-dont-reorganize -m "not long"

bytecode: setup-dev .venv/collected # tests write none, see tests/conftest.py
	@$(PYTHON) -m compileall -q bench lab mesh
	@$(PYTHON) -c "from mesh.render.document import compile_templates; compile_templates()"

.venv/collected: requirements/dev.txt $(shell find tests -type f -name '*.py') | setup-dev # pytest's own bytecode takes longer to make than to collect all tests
	@$(PYTHON) -m pytest -p no:cacheprovider -q --collect-only >/dev/null && touch $@ || true # the run tells what is wrong

lint: setup-dev
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format -q --check .
	@.venv/bin/lint-imports --no-cache --no-logo
	@$(PYTHON) -m mypy

test-long: setup-dev image bytecode ## run all tests, also the long ones, with many examples; then make mutants
	@$(PYTEST) -n 2 --dist loadfile --hypothesis-profile=long -m "not hosts"
	@$(PYTEST) -n 3 --dist loadfile --hypothesis-profile=long -m hosts
	@$(MAKE) --no-print-directory mutants

mutants: setup-dev ## change the code of settings, plan, render in small ways; list changes that no test notices
	@rm -rf mutants
	@.venv/bin/mutmut run
	@$(PYTHON) -m tools.mutants

image: setup ## build the host image, unless it exists
	@$(SUDO) $(PYTHON) -m lab.hosts image --directory .lab/image

api-document: setup ## download Hetzner's API document for more tests of the lab's cloud
	@$(PYTHON) tools/api_document.py .lab/hcloud-openapi.json

stack-file: setup ## write the keys of docs/stack-file.md and the JSON schemas, from mesh/settings
	@$(PYTHON) -m tools.stack_file

bench: setup-dev ## compare with other tools and write docs/benchmarks.md; about 50 minutes (BENCH="--repeats 3": 35)
	@$(SUDO) $(PYTHON) -m bench $(BENCH)

lock: setup-dev ## pin the packages of requirements/*.in again, with hashes
	@for name in mesh lab dev bench; do \
		$(PYTHON) -m piptools compile -q --generate-hashes --strip-extras --allow-unsafe \
			--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
			-o requirements/$$name.txt requirements/$$name.in; done
