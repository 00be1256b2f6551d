PYTHON ?= python3
export PYTHON

.PHONY: demo web test test-ci test-all test-beam fuzz lint bench docs matrix release clean

# Train on the embedded digits, evaluate, draw, export, prove: runs/demo, artefacts/demo
demo:
	scripts/install run
	scripts/demo

# The demo's model in the browser, with Node.js at build time only: artefacts/demo/web
web:
	scripts/install run
	scripts/web

# The tests, without the slow proofs
test:
	scripts/install dev
	scripts/test -m "not slow and not long"

# The tests and the slow proofs
test-ci:
	scripts/install dev
	scripts/test -m "not long" --durations=25

# All tests, over every combination of parts: an hour or two
test-all:
	scripts/install dev
	scripts/test

# The tests of bulk jobs, in a .venv-beam of its own
test-beam:
	scripts/install beam
	TEST_VENV=.venv-beam scripts/test tests/unit/bulk tests/integration/test_bulk.py

# Random arrays, files, flags, bundles and requests, FUZZ_EXAMPLES of them; 100,000 take an hour
fuzz:
	scripts/install dev
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-100000} scripts/test tests/fuzz --timeout 14400

lint:
	scripts/install dev
	scripts/lint

# Speed beside Keras, PyTorch and pythae, in a .venv-bench of its own: benchmarks/README.md
bench:
	scripts/install bench
	scripts/bench

# The site, in a .venv-docs of its own: docs/_build/html/index.html
docs:
	scripts/install docs
	scripts/docs

# The wheel with each Python, oldest and newest packages: docs/versions.md
matrix:
	scripts/matrix

# The wheel and the source distribution, checked and proven: dist/
release:
	scripts/release

clean:
	rm -rf .venv .venv-beam .venv-bench .venv-release .venv-docs docs/_build build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
