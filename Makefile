# make app    set up and start the app          make test   set up and run all checks
# make lint   style and types only              make sweep  every family of models (long), and the tables of them
# make bench  speed and memory (docs/benchmarks.md)         make clean  remove what was set up
# make bench-app  the app in a browser (docs/benchmarks-app.md)      make screens  a picture of every page
# make bench-studies  studies, on one machine and on Ray (docs/benchmarks-studies.md)

PYTHON := .venv/bin/python
PYTHON3 ?= python3
WORKERS ?= 2
SHELL := /bin/bash

.PHONY: app test lint bench bench-app bench-studies screens sweep setup cluster browser clean
.DEFAULT_GOAL := app

app: setup
	$(PYTHON) -m streamlit run app.py

test: cluster browser lint
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n $(WORKERS) --dist loadfile

lint: setup
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

bench: setup
	$(PYTHON) -m benchmarks

bench-app: setup browser
	$(PYTHON) -m benchmarks.app

bench-studies: cluster
	OMP_NUM_THREADS=1 $(PYTHON) -m benchmarks.studies

screens: setup browser
	$(PYTHON) -m tests.app.screens

sweep: setup
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n $(WORKERS) -m sweep
	OMP_NUM_THREADS=1 $(PYTHON) -m tests.sweep

setup: .venv/installed

# Runs again only when requirements.txt changed.
.venv/installed: requirements.txt | .venv/bin/uv
	@echo "Installing the packages of requirements.txt. The first time this takes some minutes."
	.venv/bin/uv pip install --quiet --python $(PYTHON) -r requirements.txt
	@touch $@

# Ray is needed by nobody who works on one machine; the checks need it.
cluster: .venv/cluster

.venv/cluster: requirements-cluster.txt .venv/installed
	.venv/bin/uv pip install --quiet --python $(PYTHON) -r requirements-cluster.txt
	@touch $@

.venv/bin/uv:
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Headlight needs Python 3.11 or newer; $(PYTHON3) is $$($(PYTHON3) --version 2>&1)." \
	  "Name another one: make PYTHON3=python3.12"; exit 1; }
	@$(PYTHON3) -m venv .venv \
	  || { echo "No virtual environment could be made. On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check uv

browser:
	@command -v chromium chromium-browser google-chrome > /dev/null \
	  || { echo "The browser tests need Chromium: installing it."; \
	       if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq chromium; \
	       elif sudo -n true 2> /dev/null; then sudo apt-get update -qq && sudo apt-get install -y -qq chromium; \
	       else false; fi; } \
	  || { echo "Chromium could not be installed. Install it yourself: sudo apt-get install chromium"; exit 1; }

clean:
	rm -rf .venv .cache .pytest_cache .ruff_cache

-include world/world.mk
