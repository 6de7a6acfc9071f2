# Every target calls `setup`, which costs well under a second when there is nothing to do.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Installing a name server must not start it: the tests start their own, in a namespace of their own.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

COMPILE = CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --strip-extras --allow-unsafe \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.PHONY: setup demo check test test-real test-container test-python313 image install bench bench-container fmt fuzz lock
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

# The image, with its labels; prints how long it took and how large it is, or the end of what the build said.
IMAGE ?= gateway-appliance:dev
SOURCE ?= $(shell git remote get-url origin 2>/dev/null || echo unknown)
image:
	@began=$$(date +%s); said=$$(mktemp); trap 'rm -f "$$said"' EXIT; \
	DOCKER_BUILDKIT=1 docker build --progress=plain --tag $(IMAGE) --file images/Dockerfile \
	  $(if $(EXTRA_CA),--secret id=ca$(comma)src=$(EXTRA_CA)) $(if $(PIP_NO_INDEX),--build-arg PIP_NO_INDEX=$(PIP_NO_INDEX)) \
	  --build-arg VERSION=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) \
	  --build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) \
	  --build-arg CREATED=$$(date -u +%Y-%m-%dT%H:%M:%SZ) --build-arg SOURCE="$(SOURCE)" . >"$$said" 2>&1 \
	|| { tail -n 30 "$$said" >&2; exit 1; }; \
	docker image inspect --format '{{.Size}}' $(IMAGE) \
	| awk -v seconds=$$(($$(date +%s) - began)) '{printf "$(IMAGE): %.0f MB, built in %d s\n", $$1 / 1e6, seconds}'
comma := ,

# On a Debian host without Docker, as root; once more for an upgrade. Starts nothing, and changes no settings.
PREFIX ?= /opt/gateway
DESTDIR ?=
install:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || SUDO="$(SUDO)" tests/peers/apt-install python3-venv
	@test -x $(PREFIX)/bin/python || $(PYTHON) -m venv $(PREFIX)
	@$(PREFIX)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(PREFIX)/bin/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall .
	@install -d $(DESTDIR)/usr/local/bin $(DESTDIR)/etc/gateway $(DESTDIR)/etc/systemd/system
	@ln -sf $(PREFIX)/bin/gateway $(DESTDIR)/usr/local/bin/gateway
	@test -e $(DESTDIR)/etc/gateway/gateway.yaml || install -m 0600 images/gateway.yaml.example $(DESTDIR)/etc/gateway/gateway.yaml
	@sed 's#/opt/gateway#$(PREFIX)#' images/units/gateway.service >$(DESTDIR)/etc/systemd/system/gateway.service
	@echo 'Fill in $(DESTDIR)/etc/gateway/gateway.yaml, then: systemctl daemon-reload && systemctl enable --now gateway'

test-python313: setup
	@tests/peers/python313

test-real: setup
	@$(BIN)/python -m tests.peers.shards tests/real/test_*.py

# Ten minutes by default; what it finds stays in tests/fuzz-corpus.
fuzz: setup
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.txt
	@mkdir -p tests/fuzz-corpus
	@$(BIN)/python -m tests.fuzz.dns_wire tests/fuzz-corpus tests/fuzz/corpus -max_total_time=600 -max_len=4096 -timeout=1 -artifact_prefix=tests/fuzz-corpus/

bench: setup
	@$(BIN)/python -m tests.peers.namespace $(BIN)/python -m bench

# The container against its targets, on an engine of the tests' own.
bench-container: setup
	@export $$(tests/container/engine start .venv/engine) && $(MAKE) --no-print-directory image \
	  $(if $(wildcard /etc/ssl/certs/ca-certificates.crt),EXTRA_CA=/etc/ssl/certs/ca-certificates.crt) \
	&& docker build --quiet --tag gateway-test-peers tests/container/overlay >/dev/null && $(BIN)/python -m bench container; \
	code=$$?; tests/container/engine stop .venv/engine; exit $$code

fmt: setup
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

# Hashes of every platform's file, no index address: the same lock serves a public user and a private mirror.
lock:
	@$(COMPILE) -o requirements.txt pyproject.toml
	@$(COMPILE) --extra dev -o requirements-dev.txt pyproject.toml
	@$(COMPILE) --extra fuzz -o requirements-fuzz.txt pyproject.toml
	@echo hatchling | $(COMPILE) -o requirements-build.txt -
