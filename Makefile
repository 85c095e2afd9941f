# `make help` lists the targets. ENGINE=pulumi runs them on Pulumi's own engine, where it is installed.
SHELL := /bin/sh
ENGINE ?= lab
STACK ?= lab
export ENGINE
export WGMESH_PULUMI = $(LAB) run
# The command provider wants to see the SSH agent that is named, and fails where that is gone; no key of it is needed.
unexport SSH_AUTH_SOCK

PYTHON := .venv/bin/python
LAB := $(PYTHON) -m lab --stack $(STACK)
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo --preserve-env=ENGINE,PULUMI_CONFIG_PASSPHRASE,WGMESH_SHARED,CI)
PYTEST := $(SUDO) $(PYTHON) -m pytest -p no:cacheprovider

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev image up preview down clean ssh reach output check lint test test-long api-document stack-file bench lock

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: ## install what `make up` needs (Debian packages, .venv); quick when all is there
	@tools/setup.sh lab

setup-dev: ## install what tests and measurements need, too
	@tools/setup.sh dev

up: setup ## rehearse: cloud, hosts and mesh on this machine; ends with a table of who reaches whom
	@$(LAB) start
	@$(LAB) run up --yes --skip-preview
	@$(MAKE) --no-print-directory reach

preview: setup ## show what `make up` would change, line by line
	@$(LAB) start
	@$(LAB) run preview --diff

reach: setup ## ping every node from every node through the tunnel
	@$(PYTHON) -m mesh reach --via '$(SUDO) $(PYTHON) -m lab.hosts enter --state .lab/cloud $(STACK)-{node} --'

output: setup ## print the stack's outputs
	@$(LAB) run stack output

ssh: setup ## a shell on a node: make ssh NODE=web-1
	@test -n "$(NODE)" || { echo "which node? make ssh NODE=web-1" >&2; exit 2; }
	@$(PYTHON) -m mesh ssh $(NODE)

down: setup ## destroy the stack, stop cloud and hosts; leaves no trace outside .lab
	@$(LAB) down

clean: ## remove lab, virtual environment and caches from this folder
	@tools/clean.sh

check: setup-dev lint ## lint, format, imports, types, unit tests with few examples each
	@$(PYTHON) -m pytest -p no:cacheprovider --hypothesis-profile=few -n 2 -m "not hosts and not long" tests/unit

test: setup-dev lint image ## run every test but the long enumerations
	@$(PYTEST) -n 2 --dist loadfile -m "not hosts and not long"
	@$(PYTEST) -n 3 --dist loadfile -m "hosts and not long"

lint: setup-dev
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format -q --check .
	@.venv/bin/lint-imports --no-cache --no-logo
	@$(PYTHON) -m mypy

test-long: setup-dev image ## run the long enumerations too, with many examples
	@$(PYTEST) --hypothesis-profile=long

image: setup ## build the host image, as `make up` does when it is missing
	@$(SUDO) $(PYTHON) -m lab.hosts image --directory .lab/image

api-document: setup ## fetch Hetzner's API document, which more tests of the lab's cloud run with
	@$(PYTHON) tools/api_document.py .lab/hcloud-openapi.json

stack-file: setup ## write the descriptions of the keys into docs/stack-file.md, from mesh/settings
	@$(PYTHON) -m tools.stack_file

bench: setup-dev ## measure beside a plain playbook, write docs/benchmarks.md; about 20 minutes
	@$(SUDO) $(PYTHON) -m bench

lock: setup-dev ## pin requirements/*.in again, with hashes
	@for name in mesh lab dev bench; do \
		$(PYTHON) -m piptools compile -q --generate-hashes --strip-extras --allow-unsafe \
			--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
			-o requirements/$$name.txt requirements/$$name.in; done
