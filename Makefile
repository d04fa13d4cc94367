# make lab    set up, then run the main job: the application note's failover, simulated
# make test   set up, then run every test that this machine can run
# make check  style, architecture, types, tests with coverage: all that a change must pass
# make power-cuts    the durability claims over 10,000 seeded power cuts for each kind of volume
# make campaign      2,000 random workloads with faults in the simulation: order, convergence, no silence about what was lost
# make campaign-linux  300 of them on this machine (root): real daemons, the filter on a real file system, and rsync as the judge
# make troubles      1,000 random, overlapping troubles of the network and its machines: never two owners with a paired witness
# make fuzz          a million mutated frames, journals and state files: each handled or refused, none crashes or hangs
# make api-fuzz      every operation of the control API, 300 requests that its document allows and 300 that it does not, judged by schemathesis
# make determinism   the long campaign: seeds 0-99, each in two processes, equal trace hashes

PYTHON ?= $(shell command -v python3.11 || command -v python3)
SEED ?= 1
# For two cores: one of these processes mostly waits, for what happens on real hosts in real time.
JOBS ?= 3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint ci/constraints.txt
INPUTS := pyproject.toml hatch_build.py ci/constraints.txt $(wildcard product/filter/*)
TESTS := $(BIN)/python -m pytest --hypothesis-seed=$(SEED)
# Whole files go to one process, what uses namespaces and mounts of this machine all to the same one; in the order of the
# folders, because by the number of tests whole scenarios, few and long, would come last, when nothing is left to do beside them.
ALL := $(TESTS) --numprocesses=$(JOBS) --dist=loadgroup --no-loadscope-reorder

export PYTHONHASHSEED := $(SEED)
# Containers often forbid Python to keep what it compiled: then each of hundreds of processes compiles the whole product anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: lab test check power-cuts campaign campaign-linux troubles fuzz api-fuzz determinism bench clean

lab: $(VENV)/.lab
	$(BIN)/bodydouble lab run iis5-power-loss --seed $(SEED)

test: $(VENV)/.test
	@echo "seed: $(SEED)"
	$(ALL)

check: $(VENV)/.test
	@echo "seed: $(SEED)"
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(ALL) --cov --cov-report=term:skip-covered

power-cuts: $(VENV)/.test
	$(TESTS) tests/sim/storage/test_power_cuts.py --power-cuts=10000 --timeout=0

campaign: $(VENV)/.test
	$(BIN)/python -m tests.campaign --count 2000 --from-seed $(SEED)

campaign-linux: $(VENV)/.test
	$(BIN)/python -m tests.campaign.linux --count 300 --from-seed $(SEED)

troubles: $(VENV)/.test
	$(BIN)/python -m tests.e2e.troubles --count 1000 --from-seed $(SEED)

fuzz: $(VENV)/.test
	$(BIN)/python -m tests.fuzz --count 1000000 --seed $(SEED)

api-fuzz: $(VENV)/.test
	$(BIN)/python -m tests.api_fuzz --examples 300 --seed $(SEED)

determinism: $(VENV)/.lab
	$(BIN)/bodydouble lab replay iis5-power-loss --seeds 0-99 --jobs 2

bench: $(VENV)/.test
	$(BIN)/python -m pytest benchmarks --benchmark-only

clean:
	rm -rf $(VENV) results .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# Needs a package registry and nothing else: wheels only, no root; without a C compiler there is no filter program.
$(VENV)/.lab: $(VENV)/bin/python $(INPUTS)
	$(PIP) --only-binary :all: --editable '.[labs]'
	@touch $@

# As root on Debian, ci/bootstrap first installs what the tests of real hosts need; elsewhere those tests are skipped.
$(VENV)/.test: $(VENV)/.lab ci/bootstrap
	ci/bootstrap
	$(PIP) --editable '.[dev]'
	@touch $@
