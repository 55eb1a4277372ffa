# Needs Python 3.11, pip, venv, make and git; everything else is installed here, from requirements.lock.
PYTHON ?= python3
UV_VERSION = 0.13.8
BIN = .venv/bin
WORKERS ?= 2
SOAK_SECONDS ?= 600

.PHONY: help phoenix run test soak check format lint types imports bench lock wheels clean

help:
	@sed -n 's/^## //p' Makefile

.venv/.ready: requirements.lock pyproject.toml guard/pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --require-hashes -r requirements.lock
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps -e guard -e .
	touch $@

## make run    set everything up and open the console on a live demo
run: .venv/.ready
	$(BIN)/andon demo

## make test   set everything up and run the tests
test: .venv/.ready
	$(BIN)/python -m pytest -n $(WORKERS)

## make soak   ten minutes of kills, faults and random sequences (SOAK_SECONDS); prints what was done
soak: .venv/.ready
	$(BIN)/python -m tests.fault.soak --seconds $(SOAK_SECONDS)

## make phoenix prepare a real Arize Phoenix for tests/slow/test_phoenix.py (some 650 MB, a venv of its own)
phoenix: .venv-phoenix/.ready
.venv-phoenix/.ready: tests/slow/phoenix-requirements.txt .venv/.ready
	$(PYTHON) -m venv .venv-phoenix
	VIRTUAL_ENV=.venv-phoenix $(BIN)/uv pip install --quiet -r tests/slow/phoenix-requirements.txt
	touch $@

## make check  format, lint, strict types, import contracts, tests
check: format lint types imports test

format: .venv/.ready
	$(BIN)/ruff format --check .
lint: .venv/.ready
	$(BIN)/ruff check .
types: .venv/.ready
	$(BIN)/mypy console store collectors runbooks guard/andon_guard tests bench
imports: .venv/.ready
	$(BIN)/lint-imports

## make bench  the figures of bench/
bench: .venv/.ready
	for file in bench/ingest.py bench/startup.py bench/visible.py bench/idle.py; do PYTHONPATH=. $(BIN)/python $$file || exit 1; done

## make lock   resolve the dependencies anew
lock: .venv/.ready
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-emit-index-url \
	  --no-emit-package andon-guard --no-header --python-version 3.11 -q -o requirements.lock

## make wheels build the wheels of andon and andon-guard into dist/
wheels: .venv/.ready
	$(BIN)/python -m build --wheel --outdir dist guard
	$(BIN)/python -m build --wheel --outdir dist .

clean:
	rm -rf .venv .venv-phoenix dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
