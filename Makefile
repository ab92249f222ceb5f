# The project's commands. `make demo` in a fresh clone does all that is needed before it.
#
#   PYTHON       the Python that the virtual environment is made from      make install PYTHON=python3.12
#   PIP          further arguments of pip, such as another index           make install PIP='--index-url URL'
#   TORCH_INDEX  where torch comes from, when not from the usual index     make install TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
PIP ?=
TORCH_INDEX ?=
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
BENCHMARKS := results tokenise methods augmentation train_step cached engines bulk serve kills

.PHONY: install demo test lint bench clean

install: $(INSTALLED)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch comes first: what follows then finds it there, and asks no index for another build of it.
$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check $(PIP) \
		$(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -c constraints.txt '$(TORCH)'
	$(BIN)/python -m pip install --disable-pip-version-check $(PIP) -c constraints.txt -e '.[train,tune,openvino,serve,telemetry,ray,dev]'
	touch $@

demo: install
	$(BIN)/pocketbert run recipes/demo.yaml

# Each worker begins with neighbouring tests and takes from others when it has none left: models and servers that a file
# shares are then made once, not once a worker.
test: install
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: install
	$(foreach name,$(BENCHMARKS),$(BIN)/python benchmarks/$(name).py --short --json runs/bench/$(name).json &&) true

# The virtual environment goes too; what you made under runs/ stays.
clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis runs/bench
	find src tests benchmarks -name __pycache__ -type d -exec rm -rf {} +
