# A target that starts or checks something does its own set-up: .venv is made from requirements.lock when it is missing or
# older. A target that looks after a running stack uses .venv as it is: a new lock must not change what runs from it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
SCALE ?= 1000
export SCALE
SEED ?= 1
KILLS ?= 1000

# $(call look,WORD,CODE): hand the word on; where nothing was set up say so, and end with the code.
look = @if [ -e $(VENV)/.complete ] && [ -x $(RUN) ]; then $(RUN) -m deploy.local $(1) $(ARGS); else \
  echo "Nothing was set up in this folder, so nothing runs from it. Start with: make up" >&2; exit $(2); fi

.PHONY: help demo up down status logs restart draw-demo test check chaos bench docs setup lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup ## Replay the 2020 programme on real servers and check every rupiah (SCALE=1000: one citizen in 1000)
	@$(RUN) -m deploy.demo $(ARGS)

up: setup ## Start PostgreSQL, Kafka, the simulators and all services, and keep them running (ARGS="--help" for more)
	@$(RUN) -m deploy.local up $(ARGS)

down: ## Stop what `make up` started
	$(call look,down,0)

status: ## Show every process, its state and its address
	$(call look,status,1)

logs: ## Show what the processes say (ARGS="training --follow" for one of them, as it speaks)
	$(call look,logs,1)

restart: ## Stop and start some of the processes (ARGS=training)
	$(call look,restart,1)

draw-demo: setup ## Make one public bundle of 100,000 synthetic applicants under var/draw, and verify it with both verifiers
	@$(RUN) -m tests.draw_demo
	@$(RUN) services/selection/verify_draw.py var/draw/demo.draw.jsonl
	@$(RUN) -m tests.browser.judge var/draw/demo.draw.jsonl

test: setup ## Run the tests on real servers (ARGS="-k name" for some of them)
	@$(RUN) -m pytest $(ARGS)

check: setup ## Look at style, types, import rules and the shape of the folders
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(RUN) -m pytest -q tests/architecture

chaos: setup ## Plant bugs and see each found, then kill under load: nothing is lost or doubled (SEED=1 KILLS=1000)
	@$(RUN) -m tests.planted
	@$(RUN) -m tests.planted.killing
	@$(RUN) -m tests.model --schedules 100000
	@$(RUN) -m tests.fault --seed '$(SEED)' --kills '$(KILLS)' $(ARGS)
	@$(RUN) -m tests.fault.brokers --seed '$(SEED)' --rounds 6 --all 3
	@$(RUN) -m tests.fault.storm --seed '$(SEED)' --at-least 0.5
	@$(RUN) -m tests.fault.poison --seed '$(SEED)' --at-least 0.85
	@$(RUN) -m tests.fault.restores --seed '$(SEED)'
	@$(RUN) -m tests.fault.again --seed '$(SEED)'

bench: setup ## Measure the hot paths
	@$(RUN) -m pytest -m bench tests/bench $(ARGS)

docs: setup ## Generate schemas, the event and API reference, and the state diagrams
	@$(RUN) -m libs.events.docs $(ARGS)

setup: $(VENV)/.complete

# The stamp comes last: an interrupted set-up is done again.
$(VENV)/.complete: requirements.lock pyproject.toml
	@$(PYTHON) deploy/local/bootstrap.py $(VENV)
	@touch $@

lock: setup ## Choose the newest versions and write requirements.lock
	@$(PYTHON) -m venv var/lock
	@var/lock/bin/pip install -q pip-tools
	@CUSTOM_COMPILE_COMMAND='make lock' var/lock/bin/pip-compile -q --all-extras --generate-hashes --allow-unsafe --strip-extras \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --upgrade -o requirements.lock pyproject.toml

clean: down ## Stop the stack, then remove what can be made again: .venv and caches, not var
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
