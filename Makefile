# Everything runs in .venv, which is made from the pins in tests/constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint types tests contract engine templates benchmarks benchmarks-aws pins clean

demo: $(STAMP) ## run the two examples: Monte Carlo, then real tract profiles
	$(BIN)/python examples/monte_carlo_pi.py
	$(BIN)/python examples/tract_summary.py

test: lint types tests ## all that must hold before a change lands

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

tests: $(STAMP) ## in two processes; which tests stay together is in tests/side_by_side.py
	$(BIN)/pytest -n 2 --dist loadgroup

contract: $(STAMP) ## the whole contract in each place; `make tests` runs one case of each test on AWS
	CLOUDKNOT_WHOLE_CONTRACT=1 $(BIN)/pytest tests/contract

engine: $(STAMP) ## start a docker engine and make the base image for the tests
	$(BIN)/python -m tests.rig

templates: ## build the base images of docker_templates and import all that is in them
	for name in sklearn tractometry; do \
	  docker build --tag cloudknot/$$name docker_templates/$$name \
	  && docker run --rm --interactive cloudknot/$$name python -W error - < docker_templates/import_all.py \
	  || exit 1; done

benchmarks: $(STAMP) ## compare speed with other libraries; see docs/benchmarks.md
	$(BIN)/python -m pip install --quiet --constraint tests/constraints.txt --editable .[benchmarks]
	$(BIN)/python benchmarks/map_overhead.py
	$(BIN)/python benchmarks/container_overhead.py
	$(BIN)/python benchmarks/box_rates.py

benchmarks-aws: $(STAMP) ## compare what is asked of AWS with cloudknot 0.6.1, in a box; see docs/benchmarks.md
	$(BIN)/python benchmarks/aws_requests.py

$(STAMP): setup.cfg pyproject.toml tests/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cloudknot needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint tests/constraints.txt --editable .[test]
	touch $@

pins: ## renew tests/constraints.txt from the newest versions
	rm -rf $(VENV)/pins && $(PYTHON) -m venv $(VENV)/pins
	$(VENV)/pins/bin/python -m pip install --quiet .[test]
	$(VENV)/pins/bin/python -m pip freeze --exclude cloudknot > tests/constraints.txt
	rm -rf $(VENV)/pins

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
