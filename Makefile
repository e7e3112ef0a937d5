PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TASKS ?= ridge,mlp,resnet
REPEATS ?= 5
DEVICE ?= cpu
INSTALL := $(BIN)/python -m pip install -q -c constraints.txt -e

.PHONY: study test test-all soak lint audit bench clean

study: $(VENV)/.light   ## train the ResNet study, write its report, print where it is
	$(BIN)/python -m wdstudy run studies/resnet.py
	$(BIN)/python -m wdstudy report resnet

test: $(VENV)/.light    ## the tests that need no extra package and no server
	$(BIN)/python -m pytest -q

test-all: $(VENV)/.full ## every test that needs no GPU; none is skipped for want of a package
	$(BIN)/python -m pytest -q -m "not gpu and not soak"

soak: $(VENV)/.full     ## random kills and restarts, for as long as it takes
	$(BIN)/python -m pytest -q -m soak

lint: $(VENV)/.full     ## style, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.full    ## what the README's numbers come from; REPEATS=1 for a quick look
	$(BIN)/python benchmarks/recorder.py
	$(BIN)/python benchmarks/compare.py --tasks $(TASKS) --repeats $(REPEATS) --device $(DEVICE)
	$(BIN)/python benchmarks/scaling.py --repeats $(REPEATS) --device $(DEVICE)
	$(BIN)/python benchmarks/trackers.py --repeats $(REPEATS)
	$(BIN)/python benchmarks/tried.py --rounds $(REPEATS) --device $(DEVICE)
	$(BIN)/python benchmarks/figure.py --device $(DEVICE)

audit: $(VENV)/.full    ## what is installed, against the database of known vulnerabilities
	@$(BIN)/pip-audit --local --skip-editable --progress-spinner off > $(VENV)/audit 2>&1; \
	status=$$?; head -50 $(VENV)/audit; \
	if grep -q "could not be audited" $(VENV)/audit; then echo "audit: the database lacks some \
	packages, or can't be reached from here: those were not audited"; fi; exit $$status

clean:                  ## remove what make made, but no study
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.light: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) ".[studies,test]"
	touch $@

$(VENV)/.full: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) ".[dev]"
	touch $@ $(VENV)/.light
