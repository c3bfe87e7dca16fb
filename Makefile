# Set-up included: both commands work on a fresh clone with Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Before anything is fetched: the interpreter of the environment, or the one that is to make it.
REFUSE_OLD = @python=$(BIN)/python; test -x $$python || python=$(PYTHON); \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "error: $$python is $$($$python --version), expected 3.11 or newer; make clean, then make PYTHON=python3.12" >&2; \
	exit 2; }

.PHONY: run test lint wheel clean

run: $(VENV)/.installed
	$(BIN)/python -m autoresearch_ray.launch experiments/cpu.yaml

test: $(VENV)/.installed lint
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not alone"
	$(BIN)/pytest -m alone

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry autoresearch_ray

wheel: $(VENV)/.installed
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

$(VENV)/.installed: pyproject.toml | $(BIN)/pip
	$(REFUSE_OLD)
	$(BIN)/pip install --quiet --disable-pip-version-check "torch==2.13.*"
	$(BIN)/pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

# What made the folder may have left pip out (uv does, and Debian without python3-venv).
$(BIN)/pip:
	$(REFUSE_OLD)
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@$(BIN)/python -m ensurepip --default-pip >/dev/null || { \
		echo "error: $(BIN)/python has no pip and cannot install one; on Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 2; }

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache dist
