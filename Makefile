PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test lint manual docs clean

demo: $(INSTALLED)  ## compare generated volumes with the tomogram of snow they were learnt from
	$(BIN)/python -m benchmarks.demo

test: lint manual  ## everything that must hold before a commit lands
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(INSTALLED)  ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

manual: $(INSTALLED)  ## write the manual, build/docs/index.html, with notebooks as they are
	$(BIN)/python -m sphinx -q -W --keep-going docs build/docs

docs: $(INSTALLED)  ## run the notebooks first, so that the manual shows what they draw
	$(BIN)/python -m nbconvert --execute --to notebook --output-dir $(CURDIR)/build/notebooks notebooks/*.ipynb
	SLICEGAN_NOTEBOOKS=$(CURDIR)/build/notebooks $(MAKE) manual

clean:  ## remove the virtual environment, the demo and every cache
	rm -rf $(VENV) demo build docs/gallery docs/api/generated *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find benchmarks metrics slicegan tests -name __pycache__ -prune -exec rm -rf {} +

# spam is a data wheel here: a tomogram is read from it, the package is never imported, so it is
# installed without its dependencies.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -c constraints.txt -e ".[test]"
	$(BIN)/python -m pip install --no-deps -c constraints.txt spam
	touch $@
