.DEFAULT_GOAL := help
.PHONY: help check lint types imports test engines fmt

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

check: lint types imports test engines  ## everything that CI runs

lint:  ## ruff: rules and format
	python -m ruff check .
	python -m ruff format --check .

types:  ## mypy, strict
	python -m mypy

imports:  ## which module may import which
	lint-imports

test:  ## pytest, three files at a time, since tests of programs wait for them; without the engines' tests
	python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --ignore=tests/engines

engines:  ## tests of workers elsewhere: on a real SLURM, Ray and ssh where they are installed
	python -m pytest -n 2 --dist loadfile tests/engines

fmt:  ## let ruff format and mend what it can
	python -m ruff check --fix .
	python -m ruff format .
