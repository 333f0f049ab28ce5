# Every target does the set-up it needs; after the first time that takes no time and no network.
PYTHON_VENV := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup ops test floors doctor demo results bench lint

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 16

setup: ## make .venv with all packages; compiles nothing
	@bash tools/setup_env.sh

ops: setup ## build mmcv's own compiled ops (a compiler, 15 to 25 minutes); rarely needed
	@bash tools/build_ops.sh

test: setup ## run all tests, on two cores
	$(PYTHON_VENV) -m pytest -q -n 2 --dist loadfile

.venv-floors/done: tests/floors.txt pyproject.toml
	$(or $(PYTHON),python3.10) -m venv --clear .venv-floors
	.venv-floors/bin/python -m pip install -q -c tests/floors.txt -e '.[openmmlab,dev]'
	.venv-floors/bin/python -m rbdc_mm.ops install
	touch $@

floors: .venv-floors/done ## run all tests with the oldest versions allowed (Python 3.10, torch 2.1)
	.venv-floors/bin/python -m pytest -q -n 2 --dist loadfile

doctor: setup ## check versions, compiled ops and GPUs, and say what to do about failures
	$(PYTHON_VENV) tools/doctor.py

demo: setup ## the whole pipeline in small: data, pretraining, detection, table and plot
	$(PYTHON_VENV) tools/demo.py

results: setup ## the tables and plots of all committed studies again, from their rows
	$(PYTHON_VENV) tools/results.py

bench: setup ## the benchmarks, into results/benchmarks.md; wants a quiet machine
	$(PYTHON_VENV) tools/bench.py

lint: setup ## ruff: rules and formatting
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
