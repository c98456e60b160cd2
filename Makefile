.DEFAULT_GOAL := help
TOGETHER := tests/cli tests/compare tests/data tests/experiment tests/export tests/history tests/launch tests/models tests/report tests/system tests/ui
.PHONY: help check lint types imports test fmt

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

check: lint types imports test  ## everything that CI runs

lint:  ## ruff: rules and format
	python -m ruff check .
	python -m ruff format --check .

types:  ## mypy, strict
	python -m mypy

imports:  ## which module may import which
	lint-imports

test:  ## pytest: side by side what works within one process, one after the other what trains and kills
	python -m pytest -n 2 --dist loadfile $(TOGETHER)
	python -m pytest $(TOGETHER:%=--ignore=%)

fmt:  ## let ruff format and mend what it can
	python -m ruff check --fix .
	python -m ruff format .
