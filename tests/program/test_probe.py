"""`tui-attn probe` and `tui-attn compare --report`, as a user runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .conftest import Program


@pytest.fixture(scope="module")
def probed(finished: Program, tmp_path_factory: pytest.TempPathFactory) -> tuple[Program, str]:
    """A copy of a finished experiment in which the attention was replaced, and what that printed."""
    folder = tmp_path_factory.mktemp("probed")
    shutil.copytree(finished.runs, folder / "runs")
    program = Program(folder)
    done = program("probe")
    assert done.code == 0, done.err
    assert "intervening on se-s0 (1 of 2)" in done.err
    return program, done.out


def test_it_prints_a_table_and_a_sentence_for_each_model(probed: tuple[Program, str]) -> None:
    _, out = probed
    assert "gates replaced by" in out
    assert "weights replaced by" in out
    assert "se (se-s0, 300 test images): with the mean gates of all images" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 100


def test_a_second_time_it_prints_the_same_and_computes_nothing(probed: tuple[Program, str]) -> None:
    program, out = probed
    again = program("probe")
    assert (again.code, again.out, again.err) == (0, out, "")


def test_for_programs_it_prints_one_object(probed: tuple[Program, str]) -> None:
    found = probed[0]("probe", "--json").json()
    assert [model["model"] for model in found["models"]] == ["se", "self-attention"]
    assert found["problems"] == []
    one = probed[0]("probe", "--json", "--run", "se-s0").json()
    assert [run["run"] for model in one["models"] for run in model["runs"]] == ["se-s0"]


def test_what_cannot_be_probed_is_told_in_a_line(probed: tuple[Program, str], tmp_path: Path) -> None:
    done = probed[0]("probe", "--run", "base-s0")
    assert (done.code, done.out, done.err) == (2, "", "tui-attn: base-s0 has no attention to intervene on\n")
    nothing = Program(tmp_path)("probe")
    assert nothing.code == 2
    assert nothing.err.startswith("tui-attn: no experiment in runs")
    assert nothing.err.count("\n") == 1


def test_the_report_has_what_the_probe_found(probed: tuple[Program, str]) -> None:
    program, _ = probed
    done = program("compare", "--report", "report")
    assert done.code == 0
    assert done.err == "the report is in report/report.html\n"
    page = (program.folder / "report" / "report.html").read_text()
    assert "with the mean gates of all images" in page
    index = json.loads((program.folder / "report" / "report.json").read_text())
    assert "pictures/interventions-se.png" in index["files"]
    assert all((program.folder / "report" / name).is_file() for name in index["files"])


def test_a_report_that_cannot_be_written_is_told_in_a_line(probed: tuple[Program, str]) -> None:
    program, _ = probed
    (program.folder / "in-the-way").write_text("")
    done = program("compare", "--report", "in-the-way")
    assert done.code == 2
    assert done.err.startswith("tui-attn: can't write the report to in-the-way")
    assert done.err.count("\n") == 1
