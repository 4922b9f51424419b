# Doors for people. 'make' lists them. Everything is installed into .venv, only when the
# requirements or the packaging changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# More arguments for the tool behind a door: make test ARGS='-k broker'
ARGS ?=
# Compiled modules are kept: tests start hundreds of processes, each of which would compile all.
unexport PYTHONDONTWRITEBYTECODE
# How many processes run the tests. One more than two cores have: many tests wait for a server.
# Each process has servers of its own. JOBS=0 runs everything in one, as a debugger needs it.
JOBS ?= 3
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist worksteal --durations 30 --durations-min 1

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

.PHONY: venv
venv: $(VENV)/.runtime ## install vumi and what it runs with into .venv

.PHONY: venv-dev
venv-dev: $(VENV)/.dev ## install what development needs, too

.PHONY: demo
demo: $(VENV)/.runtime ## run the demonstration: one process, no other server
	@echo "Starting. When all workers run, talk to the application from a second terminal:"
	@echo "    telnet localhost 9010        (nc localhost 9010 does as well; /quit hangs up)"
	@echo "Ctrl-C here ends the demonstration."
	@$(BIN)/vumi run config/demo.yaml $(ARGS)

.PHONY: test
test: $(VENV)/.dev ## install the servers that tests use, if need be, and run all tests
	@utils/install-test-servers
	$(PYTEST) $(ARGS)

.PHONY: test-unit
test-unit: $(VENV)/.dev ## run the tests that need no server
	$(PYTEST) -m 'not integration' $(ARGS)

.PHONY: lint
lint: $(VENV)/.dev ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: format
format: $(VENV)/.dev ## put the code into its format, mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: docs
docs: $(VENV)/.dev ## build the documentation in docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

.PHONY: bench
bench: $(VENV)/.runtime ## measure echoes per second through RabbitMQ
	@utils/install-test-servers
	$(BIN)/python bench/echo.py $(ARGS)

.PHONY: clean
clean: ## remove .venv and everything that was built
	rm -rf $(VENV) .tox build dist docs/_build vumi.egg-info .coverage htmlcov
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "vumi needs Python 3.11 or newer; '$(PYTHON)' is not." \
			"Name one that is: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	}
	@rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.created requirements.pip setup.py
	$(PIP) install -r requirements.pip
	$(PIP) install --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.pip
	$(PIP) install -r requirements-dev.pip
	@touch $@
