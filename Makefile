# `make demo` and `make test` do all the set-up on a machine with Python (3.10 to 3.13) and make; both use their own .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test format clean

.venv/installed: pyproject.toml requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 10) <= sys.version_info < (3, 14) else "agnet_vision needs Python 3.10 to 3.13; choose one with: make PYTHON=python3.12 " + "demo")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.txt --editable ".[dev]"
	touch $@

demo: .venv/installed
	$(BIN)/python tools/train.py

test: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=2

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv outputs build dist
