# `make demo` and `make test` do all the set-up on a machine with Python (3.10 to 3.13) and make;
# all targets use their own .venv.
PYTHON ?= python3
PYTHON310 ?= python3.10
BIN := .venv/bin
LOWEST := .venv-lowest/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.txt

.PHONY: demo test lowest docs format clean

.venv/installed: pyproject.toml requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 10) <= sys.version_info < (3, 14) else "agnet_vision needs Python 3.10 to 3.13; choose one with: make PYTHON=python3.12 " + "demo")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable ".[all,dev]"
	touch $@

demo: .venv/installed
	$(BIN)/python tools/train.py

test: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=2

# The tests on Python 3.10 and the oldest releases that pyproject.toml allows; what these warn of in
# one another is not ours to fix.
lowest:
	test -x $(LOWEST)/uv || $(PYTHON310) -m venv .venv-lowest
	$(LOWEST)/python -m pip install --quiet --disable-pip-version-check uv
	$(LOWEST)/uv pip install --quiet --python $(LOWEST)/python --resolution lowest-direct --editable ".[all,dev]"
	OMP_NUM_THREADS=1 $(LOWEST)/python -m pytest --numprocesses=2 -W default

# The site in docs/_build/html; warnings are errors, and nothing is fetched.
docs: .venv/installed
	$(PIP) --editable ".[docs]"
	$(BIN)/python -m sphinx --fail-on-warning --keep-going docs docs/_build/html

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .venv-lowest outputs build dist docs/_build
