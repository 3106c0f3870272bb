# Every target sets up what it needs: .venv, filled again when pyproject.toml or constraints.txt changes, and made anew
# when it is of no use any more (tools/venv.sh).
VENV := .venv
READY := $(VENV)/.ready
BIN := $(VENV)/bin
DEMO := $(VENV)/.demo
# gradio and what it needs that is not there yet; pyproject.toml says why by name
GRADIO := gradio gradio-client hf-gradio groovy safehttpx httpx httpcore brotli pydub pytz python-multipart \
	semantic-version 'audioop-lts; python_version >= "3.13"'
PYTHON ?= # the one to make .venv with; else the first of 3.11 or newer that is found
JOBS ?= # runs at a time; else as many as there are processors and memory for (tools/jobs.sh)
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
test test-slow: export HF_HUB_OFFLINE := 1 # no test needs the network
export TOKENIZERS_PARALLELISM := false

.PHONY: setup repro demo test test-slow chaos lint bench clean broken

setup: $(READY)

$(READY): pyproject.toml constraints.txt $(shell sh tools/venv.sh --sound $(VENV) $(PYTHON) || echo broken)
	sh tools/venv.sh $(VENV) $(PYTHON)
	$(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint constraints.txt
	touch $(READY)

repro: jobs = $(shell sh tools/jobs.sh $(JOBS) || echo wrong)
repro: $(READY) ## the whole study: data, training, metrics, MLflow, report; JOBS runs at a time
	@test $(jobs) != wrong
	python -m experiments.check
	dvc repro fetch foundation
	export TERM=dumb; dvc status --quiet || dvc stage list --name-only \
		| sed -n 's/^train@\(.*\)/train@\1 evaluate@\1/p; /^control@/p' \
		| xargs --max-procs=$(jobs) -L1 bash tools/logged.sh # two progress bars in one terminal would write over each other
	dvc repro

demo: $(DEMO) ## a local page: choose an image, type a sentence, see the mask
	python -m experiments.demo

$(DEMO): $(READY)
	$(BIN)/python -m pip install --quiet --no-deps --constraint constraints.txt $(GRADIO)
	touch $(DEMO)

lint: $(READY)
	ruff check .
	ruff format --check .
	mypy

test: lint $(DEMO) ## lint, types and the tests, a file at a time on each of two cores
	pytest -m "not slow" --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-slow: $(READY)
	pytest -m slow

chaos: $(READY) ## kills, faults and damaged files, into docs/chaos.md; full disks are mounted, as root
	python -m tests.chaos.page

bench: $(READY) ## speed, measured side by side with the plain way, into docs/speed.md; on a quiet machine
	python -m experiments.bench
	python -m reports.speed

clean: ## everything that was made and is not in git, but for the environment
	git clean -fdX --exclude '!$(VENV)'
