# Everything runs in one environment, .venv, which is made where it is missing and reused after that.
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A Python that is new enough: python3 if it is, otherwise the newest one with a version in its name.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

# Tests wait more than they compute: two workers a core, and at most eight (a real training takes 1 GB of memory).
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$(( n < 4 ? 2 * n : 8 )))

.PHONY: help demo test chaos check bench catalogue prove snapshot format clean

help:
	@echo "make demo       the whole way on the CPU with a tiny model: from examples to a merged model"
	@echo "make test       all tests, with real LLaMA-Factory runs (about twelve minutes on two cores)"
	@echo "make chaos      300 random faults over the fake trainer, 12 over the real one (SEED=1)"
	@echo "make check      lint, types, import contracts, complete catalogues"
	@echo "make bench      measurements side by side, as ratios"
	@echo "make catalogue  update and compile the translations"
	@echo "make snapshot   renew what ships about the tested LLaMA-Factory"

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed (with the venv module)."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -e '.[train,dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/sft-tui demo sft-tui-demo

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

SEED ?= 1
chaos: $(READY)
	$(BIN)/python -m tests.chaos --seed $(SEED) --trials 300 --real 12

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/unit/test_imports.py tests/unit/test_catalogue.py

bench: $(READY)
	$(BIN)/python -m benchmarks

catalogue: $(READY)
	$(BIN)/python -m sft_tui.locale

prove: $(READY)
	$(BIN)/python tests/corpora/rule_proofs.py

snapshot: $(READY)
	$(BIN)/python -m sft_tui.factory.snapshot

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) sft-tui-demo* build dist .mypy_cache .ruff_cache .pytest_cache
