# Two commands do everything:   make quickstart   and   make test
# Both need nothing but make and Python >= 3.11; they set up .venv themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.install-stamp

.DEFAULT_GOAL := help
.PHONY: help quickstart test packages lint docs install format clean

help:  ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

quickstart: $(STAMP)  ## Set up everything, then search recipes for 100 real images (minutes on a laptop's CPU)
	@$(BIN)/ganray sweep experiments/quickstart.yaml --fresh

# What starts a real Ray runs file by file: a process that has been a Ray driver may be ended by Ray's own threads.
test: $(STAMP) packages lint  ## Set up everything, then run the linters, the layer contract and the tests
	@$(BIN)/python -m pytest -q -m "not cluster" -n 2 --dist loadfile
	@for file in $$(grep -l "mark.cluster" tests/cluster/*.py tests/faults/*.py tests/objectstore/*.py tests/security/*.py); do \
		$(BIN)/python -m pytest -q -m cluster --durations=5 $$file || exit 1; \
	done

# A real S3 server (Ceph's radosgw on loopback) and a real browser. Where they cannot be had, their tests are skipped.
PROGRAMS := ceph ceph-mon ceph-osd radosgw radosgw-admin chromium chromedriver
packages:  ## Install what tests need beside Python, where apt-get and root are at hand
	@for program in $(PROGRAMS); do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
	[ -n "$$missing" ] || exit 0; \
	if ! command -v apt-get >/dev/null || ! $$sudo true 2>/dev/null; then \
	  echo "NOT INSTALLED:$$missing (needs apt-get and root); the tests on real object storage or in a browser are skipped"; \
	  exit 0; \
	fi; \
	echo "installing$$missing with apt-get"; \
	$$sudo apt-get update -qq >/dev/null 2>&1; \
	$$sudo env DEBIAN_FRONTEND=noninteractive timeout 900 apt-get install -qq -y --no-install-recommends \
	  radosgw ceph-mon ceph-osd ceph-common chromium chromium-driver >/dev/null 2>&1 || \
	  echo "NOT INSTALLED:$$missing (apt-get failed); the tests on real object storage or in a browser are skipped"

lint: $(STAMP)  ## ruff, mypy and the import layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q . || { echo "run: make format"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

docs: $(STAMP)  ## Write docs/recipes.md from the code and what has been measured
	@$(BIN)/python docs/build_recipes.py
	@$(BIN)/python docs/build_store.py

install: $(STAMP)  ## Only set up .venv

format: $(STAMP)  ## Format the code
	@$(BIN)/ruff check --fix -q .
	@$(BIN)/ruff format -q .

clean:  ## Remove .venv and caches; your runs/ stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# uv installs in seconds what pip needs minutes for; the stamp makes a second call start at once.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "GANRay needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(BIN)/python || { echo "creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing GANRay with pinned versions into $(VENV) (about 6 GB, mostly torch)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt uv
	@$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[dev]'
	@touch $@
