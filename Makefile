# Every target works on a bare clone with Python 3.11+ and make, and is quick the second time.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/installed

.PHONY: demo test test-fast test-interop lint bench bench-vq bench-vae bench-nets clean

# The whole family, trained and in one table; QUICK=1 for a few steps of some.
demo: $(INSTALLED)
	$(BIN)/python experiments/demo.py $(if $(QUICK),--quick)

test: $(INSTALLED)
	@$(BIN)/python -c "import jax, sys; print('Python', sys.version.split()[0], 'jax', jax.__version__)"
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: $(INSTALLED)
	@$(BIN)/python -c "import jax, sys; print('Python', sys.version.split()[0], 'jax', jax.__version__)"
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Where torch is: the bridge against diffusers itself, not only its stored numbers.
test-interop:
	$(PYTHON) -m venv .venv-interop
	.venv-interop/bin/python -m pip install --quiet --editable ".[interop-test]"
	.venv-interop/bin/python -m pytest tests/interop

# The peers (torch and what is built on it) live in an environment of their own.
bench: .venv-bench/installed
	.venv-bench/bin/python experiments/benchmarks/ddpm_sampling.py

bench-vq: .venv-bench/installed
	.venv-bench/bin/python experiments/benchmarks/vq.py

bench-nets: .venv-bench/installed
	.venv-bench/bin/python experiments/benchmarks/nets.py

bench-vae: .venv-bench/installed
	.venv-bench/bin/python experiments/benchmarks/vae_digits.py

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	@touch $@

.venv-bench/installed: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --upgrade pip
	.venv-bench/bin/python -m pip install --quiet --editable ".[bench]"
	@touch $@

clean:
	rm -rf .venv .venv-newer .venv-bench build *.egg-info .pytest_cache .jax_cache .ruff_cache .mypy_cache
