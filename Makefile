# `make` alone prints this menu. The first target that needs Python makes .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export UV_PYTHON_DOWNLOADS := never
# Compiled tests and services are kept, whatever the machine is set to: workers and child processes start sooner.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest
# A third of the time a worker waits for a database, a browser or another process, so there is one more than cores, at most 5.
WORKERS ?= $(shell cores=$$(nproc 2>/dev/null || echo 2); echo $$((cores > 4 ? 5 : cores + 1)))
SPREAD := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help

help: ## print this menu
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

##@ Run
run: setup ## the whole platform in one process: embedded PostgreSQL and Kafka, simulated Microsoft, console
	@$(BIN)/python -m dev.run

demo: setup ## drive the main job through the public API and print every step and event
	@$(BIN)/python -m dev.demo

clean-run: ## forget what `make run` stored
	rm -rf .run

up: ## the composed platform: every service a container (needs Docker)
	docker compose up --build --wait

observe: ## the same with a collector, Prometheus and Grafana beside it
	PROSPO_METRICS_PORT=9090 PROSPO_OTLP_ENDPOINT=http://collector:4318 docker compose --profile observe up --build --wait

down: ## stop the composed platform and forget what it stored
	docker compose --profile observe down --volumes --remove-orphans

sbom: setup ## what each service's image holds, as CycloneDX: .run/sbom
	@$(BIN)/python -m dev.sbom .run/sbom

chart-test: setup ## the chart on the cluster of KUBECONFIG, which has the images with the tag test; takes helm and kubectl
	@.ci/cluster/chart.sh

chart-test-long: setup ## the same before a release: evictions, engines restarted, pods killed at random, two builds, the guide's commands
	@.ci/cluster/chart.sh long

##@ Check
test: setup $(VENV)/.sdk $(VENV)/s3/.ready ## every test that this machine has the engines for; says what did not run
	@$(PYTEST) $(SPREAD)

test-fast: setup ## the tests that need no engine and no browser and take no long
	@$(PYTEST) $(SPREAD) -m "not slow and not engine and not browser"

QUICK := $(addprefix shared/tests/test_,web.py secrets.py clouds.py graph_links.py graph_paths.py graph_writes.py) \
	tests/contracts/test_events.py services/console/tests/test_protection.py services/console/tests/test_live.py

check: setup ## lint, types, the house rules and the quickest tests, side by side: what a commit wants; `make test` has the rest
	@$(MAKE) --no-print-directory -j2 lint types quick

quick: setup # not in the menu: the part of `make check` that is tests
	@$(PYTEST) -q $(SPREAD) -m "not slow and not engine and not browser" tests/architecture $(QUICK)

lint: setup ## ruff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup ## mypy --strict
	@$(BIN)/mypy

architecture: setup ## the house rules
	@$(PYTEST) -q tests/architecture

bench: setup ## ratios against peers in one run; ONLY="S1 T1" measures some
	@$(BIN)/python -m dev.bench $(ONLY)

generate: setup ## docs, contracts and OpenAPI files made from the code
	@$(BIN)/python -m dev.generate

##@ Set-up
setup: $(VENV)/.ready ## the environment, from the locked versions

$(VENV)/.ready: requirements-dev.lock dev/uv.lock.txt dev/bootstrap.py
	@$(PYTHON) dev/bootstrap.py $(VENV)

$(VENV)/.sdk: requirements-sdk.lock $(VENV)/.ready
	@$(BIN)/python -m uv pip install -q --python $(BIN)/python --require-hashes -r requirements-sdk.lock && touch $@

$(VENV)/s3/.ready: requirements-s3.lock $(VENV)/.ready
	@$(BIN)/python -m uv venv -q --clear --python $(BIN)/python $(VENV)/s3
	@$(BIN)/python -m uv pip install -q --python $(VENV)/s3/bin/python --require-hashes -r requirements-s3.lock && touch $@

lock: setup ## resolve versions again
	$(BIN)/uv pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-annotate --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --extra embedded --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --extra sdk -c requirements-dev.lock pyproject.toml -o requirements-sdk.lock
	$(BIN)/uv pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-annotate --no-header dev/s3.in -o requirements-s3.lock
	$(BIN)/python -m dev.locks

.PHONY: quick help run demo clean-run up observe down sbom chart-test chart-test-long test test-fast check lint types architecture bench generate setup lock
