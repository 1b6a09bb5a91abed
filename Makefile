# Everything a person runs. `make demo` on a fresh clone needs Python 3.11 or newer and nothing else.

VENV := .venv
RUN := $(VENV)/bin
# Another set of requirements is another stamp, so `setup` does nothing when it is up to date.
STAMP := $(VENV)/installed-$(shell cat requirements.txt requirements-dev.txt constraints.txt | cksum | cut -d' ' -f1)
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	"$$name" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done)
# Deployment settings without a deployment, for the checks.
DEPLOYED := ENV_FILE=/dev/null DEBUG=off HSTS_INCLUDE_SUBDOMAINS=on HSTS_PRELOAD=on \
	SECRET_KEY=0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ

.PHONY: help setup demo up test bench chaos reference lint ruff format types imports deploy migrations

help:
	@echo "make demo       see the whole system work: start it, drive it, verify it, stop it"
	@echo "make up         run it until Ctrl-C"
	@echo "make test       the test suite on every database and broker that can be had"
	@echo "make lint       style, types, import direction, deployment checks, migrations"
	@echo "make bench      measure it against the usual Celery way"
	@echo "make chaos      break it on purpose and count what is lost"
	@echo "make reference  write docs/reference/ anew from the docstrings"
	@echo "make setup      install what the others need; they call it themselves"

setup: $(STAMP)
	@:

$(STAMP):
	@test -n "$(PYTHON)" || { echo "Signalbox needs Python 3.11 or newer, with venv."; exit 1; }
	@test -x $(RUN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(RUN)/uv || $(RUN)/python -m pip install --quiet --disable-pip-version-check uv
	@# The pinned set if the package index has it, otherwise the newest that the minimums allow.
	@UV=$(RUN)/uv; WANTED="--quiet --compile-bytecode --python $(RUN)/python -r requirements-dev.txt"; \
		$$UV pip install $$WANTED -c constraints.txt || $$UV pip install $$WANTED || \
		$(RUN)/python -m pip install --quiet -r requirements-dev.txt
	@rm -f $(VENV)/installed-*
	@touch $@

demo: setup
	@$(RUN)/python -m config.demo $(ARGS)

up: setup
	@$(RUN)/python -m config.stack $(ARGS)

test: setup
	@$(RUN)/python -m tests.run $(ARGS)

bench: setup
	@$(RUN)/python -m tests.benchmarks $(ARGS)

chaos: setup
	@$(RUN)/python -m tests.chaos $(ARGS)

reference: setup
	@$(RUN)/python docs/reference/generate.py

# `make -k lint` goes on after a failure.
lint: ruff format types imports deploy migrations

ruff: setup
	$(RUN)/ruff check .

format: setup
	$(RUN)/ruff format --check .

types: setup
	$(RUN)/mypy

imports: setup
	$(RUN)/lint-imports

deploy: setup
	$(DEPLOYED) $(RUN)/python manage.py check --deploy --fail-level WARNING

migrations: setup
	$(DEPLOYED) $(RUN)/python manage.py makemigrations --check --dry-run
