# Each target makes .venv itself; a second call finds it there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo demo-budget test bench style clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

demo: $(READY)
	$(BIN)/emobridge demo demo --languages en,de
	$(BIN)/emobridge audit demo/en.jsonl demo/de.jsonl --out demo/audit
	$(BIN)/emobridge adapt --source demo/en.jsonl --target demo/de.jsonl --encoder logmel \
		--store demo/features --out demo/run
	$(BIN)/emobridge predict demo/run/bundle demo/de.jsonl --out demo/predictions.jsonl

demo-budget: demo
	$(BIN)/emobridge budget --source demo/en.jsonl --target demo/de.jsonl --encoder logmel --store demo/features \
		--methods source-only,pseudo-labels,soft-pseudo-labels,dann,multitask,fluda,nnpm --budgets 0,25,all \
		--normalise none,speaker --folds 3 --epochs 60 --jobs 2 --out demo/budget

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

bench: $(READY)
	$(BIN)/python benchmarks/run.py

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo
