# Two commands do everything on a fresh machine: `make run` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help run test check lint types unit slow bench bench-sandbox bench-control bench-generate soak escape campaign lock clean

SANDGATE := .venv/bin/sandgate
PYTEST := .venv/bin/python -m pytest

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: ## Set everything up and start Sandgate on http://127.0.0.1:8000
	@sh scripts/setup.sh run
	@exec $(SANDGATE) serve $(ARGS)

test: ## Set everything up, then lint, types and tests with coverage
	@sh scripts/setup.sh dev
	@$(MAKE) --no-print-directory check unit

check: lint types ## Lint and strict types only

lint:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types:
	.venv/bin/mypy

unit:
	rm -f .coverage .coverage.*
	$(PYTEST) -m "not campaign and not slow" -n 3 --dist loadfile --cov --cov-report=term:skip-covered $(ARGS)

slow: ## The other tests: whole installations and hostile code in every tier (long)
	@sh scripts/setup.sh dev
	$(PYTEST) -m "slow and not campaign" -n 3 --dist loadfile --no-cov $(ARGS)

bench: ## Calls per second, latency and CPU per call against peers, in one run
	@sh scripts/setup.sh dev
	.venv/bin/python -m tests.benchmarks.run $(ARGS)

bench-sandbox: ## How soon code runs, what a sandbox costs, what is left of 500 of them
	@sh scripts/setup.sh dev
	.venv/bin/python -m tests.benchmarks.sandbox $(ARGS)

bench-control: ## How long people wait at the control plane, and what row-level security costs
	@sh scripts/setup.sh dev
	.venv/bin/python -m tests.benchmarks.control $(ARGS)

bench-generate: ## What the loop and its gates take, from a request to code that may go live
	@sh scripts/setup.sh dev
	.venv/bin/python -m tests.benchmarks.generate $(ARGS)

soak: ## Half an hour of load, reloads and revocations: nothing may grow (ARGS=--minutes=…)
	@sh scripts/setup.sh dev
	.venv/bin/python -m tests.benchmarks.soak $(ARGS)

escape: ## Try to get out of a sandbox of every tier that this machine has
	@sh scripts/setup.sh run
	$(SANDGATE) doctor --escape $(ARGS)

campaign: ## Kill every process under load, again and again (long)
	@sh scripts/setup.sh dev
	$(PYTEST) tests/campaigns -m campaign -s $(ARGS)

lock: ## Resolve the lock files anew (needs uv)
	sh scripts/lock.sh

clean: ## Remove the environment, caches and the data directory's rebuildable parts
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis htmlcov .coverage .coverage.* *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf .sandgate/runner
