# Every target calls `setup`, which costs well under a second when there is nothing to do.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Installing a name server must not start it: the tests start their own, in a namespace of their own.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

COMPILE = CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --strip-extras --allow-unsafe \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.PHONY: setup demo check test test-real test-container test-python313 image bench fmt fuzz lock
.DEFAULT_GOAL := check

setup: $(VENV)/.installed
	@missing="$$(for p in $$(cat tests/peers/apt-packages.txt); do dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || printf '%s ' $$p; done)"; \
	if [ -n "$$missing" ]; then SUDO="$(SUDO)" tests/peers/apt-install $$missing; fi

$(VENV)/.installed: requirements-dev.txt pyproject.toml tests/peers/apt-packages.txt
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || SUDO="$(SUDO)" tests/peers/apt-install python3-venv
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	@$(BIN)/gateway demo

check: setup
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo >$(VENV)/layers.log || { cat $(VENV)/layers.log; exit 1; }
	@$(BIN)/pytest -q

test: check test-real test-container test-python313

# Builds the image and starts it on a Docker engine of its own.
test-container: setup
	@$(BIN)/pytest -q tests/container

image:
	@docker build --quiet --tag gateway-appliance:dev --file images/Dockerfile .

test-python313: setup
	@tests/peers/python313

test-real: setup
	@$(BIN)/python -m tests.peers.namespace $(BIN)/pytest -q tests/real

# Ten minutes by default; what it finds stays in tests/fuzz-corpus.
fuzz: setup
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.txt
	@mkdir -p tests/fuzz-corpus
	@$(BIN)/python -m tests.fuzz.dns_wire tests/fuzz-corpus tests/fuzz/corpus -max_total_time=600 -max_len=1500 -artifact_prefix=tests/fuzz-corpus/

bench: setup
	@$(BIN)/python -m tests.peers.namespace $(BIN)/python -m bench

fmt: setup
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

# Hashes of every platform's file, no index address: the same lock serves a public user and a private mirror.
lock:
	@$(COMPILE) -o requirements.txt pyproject.toml
	@$(COMPILE) --extra dev -o requirements-dev.txt pyproject.toml
	@$(COMPILE) --extra fuzz -o requirements-fuzz.txt pyproject.toml
	@echo hatchling | $(COMPILE) -o requirements-build.txt -
