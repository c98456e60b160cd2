"""Experiments that version 0.1.0 wrote stay readable for ever.

`tests/experiments_0_1_0/` holds four that it trained, without checkpoints and weights: one that finished, one that was
extended, one with a custom model that failed, one that was stopped with a run skipped. `expected-compare.json` beside
each is what 0.1.0's `compare --json` said of it.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.program.conftest import Program

RECORDED = Path(__file__).parents[1] / "experiments_0_1_0"
NAMES = sorted(folder.name for folder in RECORDED.iterdir())
STATES = {"all-of-it": "finished", "extended": "finished", "failed": "failed", "stopped": "stopped"}


@pytest.fixture
def old(program: Program) -> Program:
    """The program in a folder whose `runs/` was written by 0.1.0."""
    shutil.copytree(RECORDED, program.runs)
    return program


def same(found: Any, expected: Any) -> bool:
    """Whether `found` says all that `expected` says: further keys are allowed, other values are not."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(key in found and same(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if expected == "no difference shown":  # the third verdict of 0.1.0 is two today
        return found in {"undecided", "no difference above margin"}
    return bool(found == pytest.approx(expected) if isinstance(expected, float) else found == expected)


@pytest.mark.parametrize("name", NAMES)
def test_compare_says_what_it_said(old: Program, name: str) -> None:
    done = old("compare", name, "--json")
    assert done.code == 0, done.err
    expected = json.loads((RECORDED / name / "expected-compare.json").read_text())
    assert same(done.json(), expected)


def test_they_are_listed_with_their_states(old: Program) -> None:
    done = old("ls", "--json")
    assert done.code == 0, done.err
    states = {entry["experiment"].split("-", 2)[2]: entry["state"] for entry in done.json()}
    assert states == STATES


def test_their_tables_are_exported_whole(old: Program, tmp_path: Path) -> None:
    done = old("export", NAMES[0], "--csv", "--out", str(tmp_path / "tables"))
    assert done.code == 0, done.err
    with (tmp_path / "tables" / "epochs.csv").open(newline="") as file:
        epochs = list(csv.DictReader(file))
    runs = {f"{model}-s{seed}" for model in ("base", "se", "self-attention") for seed in (0, 1)}
    assert {(row["run"], row["epoch"]) for row in epochs} == {(run, epoch) for run in runs for epoch in ("1", "2")}
    with (tmp_path / "tables" / "gates.csv").open(newline="") as file:
        assert {row["run"] for row in csv.DictReader(file)} == {"se-s0", "se-s1"}


@pytest.mark.parametrize("name", NAMES)
def test_attach_follows_them_to_their_end(old: Program, name: str) -> None:
    done = old("attach", name, "--no-ui")
    assert done.code == (0 if STATES[name.split("-", 2)[2]] == "finished" else 3), done.err
    assert "Traceback" not in done.err
