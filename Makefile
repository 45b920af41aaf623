# make up: set up everything and run the exchange. make test: set up everything and pass the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEEDS ?= 10000
FIRST ?= 500
KILLS ?= 200
FUZZ ?= 1000000
SAMPLE ?= 0
# A shell that starts make in the background has it ignore Ctrl-C; setting up must heed it all the same.
INTERRUPTIBLE = 'import os, signal; signal.signal(signal.SIGINT, signal.SIG_DFL); \
	os.execvp("sh", ["sh", "scripts/setup.sh"])'

.PHONY: up test soak faults mutation check screenshots bench fmt setup compile clean

up: setup
	@exec $(BIN)/crossbook up

setup: $(VENV)/.installed compile

$(VENV)/.installed: pyproject.toml constraints.txt scripts/setup.sh
	@PYTHON="$(PYTHON)" $(PYTHON) -c $(INTERRUPTIBLE)

compile: $(VENV)/.installed
	@$(BIN)/python scripts/compile_domain.py

test: setup
	@$(BIN)/python -m pytest -q -n 2 -m "not alone"
	@$(BIN)/python -m pytest -q -m alone
	@CROSSBOOK_INTERPRETED=1 $(BIN)/python -m pytest -q -n 2 tests/unit tests/property tests/tapes -k "not cli and not api"

# make soak SEEDS=100000 FIRST=500: the simulation of docs/simulation.md, for as long as you like.
soak: setup
	@$(BIN)/python -m tests.simulation.soak --seeds $(SEEDS) --first $(FIRST)

# make faults KILLS=50 FUZZ=100000: the fault tests' long form (docs/faults.md).
faults: setup
	@CROSSBOOK_FAULT_KILLS=$(KILLS) CROSSBOOK_FUZZ_PACKETS=$(FUZZ) \
		$(BIN)/python -m pytest -q -s tests/faults tests/unit/feed/test_hostile.py

# make mutation SAMPLE=300: whether the tests notice a changed engine (docs/testing.md).
mutation: setup
	@$(BIN)/python scripts/mutation.py --sample $(SAMPLE) --write

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# make screenshots: the pictures of the dashboard in docs/images/.
screenshots: setup
	@$(BIN)/python -m scripts.screenshots

bench: setup
	@$(BIN)/python -m benchmarks.pipeline --mode embedded --seconds 20

fmt: setup
	@$(BIN)/ruff check --fix -q .
	@$(BIN)/ruff format -q .

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis domain/*.so ./*__mypyc*.so domain/_compiled.py
