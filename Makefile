# The verbs that one uses daily.
.PHONY: test fast lint types fmt lock audit demo chaos bench clean

test:  ## everything that there is to check
	bin/test

fast:  ## static checks and the quick tests
	bin/test --fast

lint: .venv/stamp.dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	.venv/bin/codespell

types: .venv/stamp.dev
	.venv/bin/python -I -m mypy

fmt: .venv/stamp.dev
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

lock:  ## newest versions that pyproject.toml allows; needs uv
	uv pip compile --universal --upgrade --generate-hashes --python-version 3.11 --custom-compile-command 'make lock' \
		pyproject.toml -o requirements.lock
	uv pip compile --universal --upgrade --generate-hashes --python-version 3.11 --custom-compile-command 'make lock' \
		pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

audit: .venv/stamp.dev  ## known weaknesses of what we pin
	.venv/bin/pip-audit --disable-pip --require-hashes -r requirements.lock

demo:
	bin/ghost demo

chaos: .venv/stamp.dev  ## stop every operation at every system call, and cut the power there: about half an hour
	.venv/bin/python tests/chaos/run.py $(ARGS)
	.venv/bin/python tests/chaos/power.py $(if $(findstring --every,$(ARGS)),$(ARGS))

bench: .venv/stamp.dev  ## those benchmarks that need no argument; bench/README.md has all
	for name in apply engine gates latency pool read sandbox startup; do \
		.venv/bin/python "bench/$$name.py" || exit 1; \
	done

clean:  ## back to a fresh checkout; state/ and its ledger stay
	rm -rf .venv .ruff_cache .mypy_cache .pytest_cache .import_linter_cache .hypothesis dist build
	find ghostd tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/stamp.dev: requirements-dev.lock
	python3 -I bin/prepare.py requirements-dev.lock dev make
