# `make tune` and `make test` set up what they need in .venv, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
QUIET := --quiet --disable-pip-version-check
ARGS ?=
SLOW := $(FFL_RAY_TEST_SLOW)
# A red check or test hides no later one: make fails after the last of them.
MAKEFLAGS += --keep-going
# What many processes load at one time is compiled once, by loading it; all that is installed takes
# six times as long.
unexport PYTHONDONTWRITEBYTECODE
TRAINING := ray.train.torch, ray.tune
OTHERS := optuna.visualization, pandas, plotly.graph_objects, scipy.stats, sklearn.datasets
.NOTPARALLEL:

.PHONY: tune test test-some test-together test-alone test-cluster lint docs docs-serve lock audit wheel dist clean

tune: $(VENV)/.runtime  ## the default search on the embedded data; ARGS="..." adds options
	$(BIN)/python -m ffl_ray.tune $(ARGS)

test: $(if $(ARGS),test-some,test-together $(if $(SLOW),test-alone))  ## every check and test, whichever is red; ARGS="tests/data" runs those alone

test-some: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

# Long tests on demand start Ray, and with all that do they run one by one after all others.
test-together: $(VENV)/.dev
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder $(if $(SLOW),-m "not ray")

test-alone: $(VENV)/.dev
	$(BIN)/python -m pytest -m ray $(shell grep -rl 'mark\.ray' tests)

test-cluster: $(VENV)/.dev  ## `ray up` for real on machines of one's own (root; see tests/cluster)
	FFL_RAY_TEST_SLOW=1 $(BIN)/python -m pytest -v -s tests/cluster

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.uv:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 15) else "ffl_ray needs Python 3.11 to 3.14, and $(PYTHON) is %d.%d: make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install $(QUIET) uv==$(UV_VERSION) 2>/dev/null || \
		{ $(BIN)/python -m ensurepip >/dev/null && $(BIN)/python -m pip install $(QUIET) uv==$(UV_VERSION); }
	@touch $@

$(VENV)/.runtime: $(VENV)/.uv requirements.txt pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	$(BIN)/python -c 'import $(OTHERS)' & others=$$!; \
		$(BIN)/python -c 'import $(TRAINING)'; status=$$?; wait $$others && exit $$status
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.txt
	@touch $@

docs: $(VENV)/.dev  ## the site, into build/site; any warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo build/site/index.html

docs-serve: $(VENV)/.dev  ## the site on http://127.0.0.1:8000, built again as pages change
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve --strict

# What tests need decides first, so that the cluster's and the trackers' packages fit beside the rest.
lock: $(VENV)/.uv  ## write the pinned versions again, with hashes
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --upgrade pyproject.toml --group pyproject.toml:build --group pyproject.toml:dev -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --upgrade pyproject.toml --group pyproject.toml:build -c requirements-dev.txt -o requirements.txt

# Asks the network: 0 nothing known, 1 a known weakness, 3 nobody could be asked.
audit: $(VENV)/.dev  ## hold the pinned versions against what is known of their weaknesses
	$(BIN)/python -m benchmarks.audit requirements.txt requirements-dev.txt

wheel: $(VENV)/.dev
	$(BIN)/python -m hatchling build -t wheel

dist: $(VENV)/.dev  ## wheel and sdist, as a package index would take them (twine from the network)
	$(BIN)/python -m hatchling build
	$(BIN)/uv tool run twine check --strict dist/*

clean:
	rm -rf $(VENV) build dist
