# Each target makes .venv itself; a second call finds it there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Commands that start many processes compile the package once, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo demo-budget test toy bench style docs tutorials path package clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

demo: $(READY)
	$(BIN)/emobridge demo demo --languages en,it --recordings it
	$(BIN)/emobridge audit demo/en.jsonl demo/it.jsonl --out demo/audit
	@echo; echo "1. How well it works, on Italian speech with labels, which no method sees:"
	$(BIN)/emobridge adapt --source demo/en.jsonl --target demo/it.jsonl --store demo/features --out demo/check
	@echo; echo "2. What you would do: Italian recordings without a label:"
	$(BIN)/emobridge scan folder demo/recordings -o demo/unlabelled.jsonl --speaker folder --option language=it
	$(BIN)/emobridge adapt --source demo/en.jsonl --target demo/unlabelled.jsonl --store demo/features --out demo/run
	@echo; echo "3. A call of two people, one on each channel, answered turn by turn:"
	$(BIN)/emobridge predict demo/run/bundle demo/call.wav --channels each --language it --detector energy \
		--out demo/call.csv
	@cut -d, -f3-8 demo/call.csv
	@echo; echo "4. How often the recogniser of 2 is right, on Italian speakers that it never met:"
	$(BIN)/emobridge evaluate demo/run/bundle --on demo/it.jsonl --out demo/scores.json

demo-budget: demo
	$(BIN)/emobridge budget --source demo/en.jsonl --target demo/it.jsonl --store demo/features \
		--methods source-only,pseudo-labels,soft-pseudo-labels,dann,multitask,fluda,nnpm --budgets 0,25,all \
		--normalise none,speaker --folds 3 --epochs 60 --jobs 2 --out demo/budget

test: $(READY)
	$(BIN)/python -m pytest -n 2

toy: $(READY)
	$(BIN)/python benchmarks/toy_recipes.py $(TOYS)

tutorials: $(READY)
	$(BIN)/python tutorials/run.py

path: $(READY)
	$(BIN)/python benchmarks/strangers_path.py

bench: $(READY)
	$(BIN)/python benchmarks/run.py

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

package: $(READY)
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/python benchmarks/wheel_check.py dist/*.whl

clean:
	rm -rf $(VENV) demo dist site toy-runs
