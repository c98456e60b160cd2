"""The exported tables, as a program reads them back."""

import csv
from pathlib import Path

import pytest

from tests.recorded import damage, record
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.export import export
from tui_attn.export.tables import csv_blocks
from tui_attn.report import write_report

CONFIG = ExperimentConfig(epochs=2, seeds=2, name="=HYPERLINK(“x”)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> ExperimentDir:
    runs = tmp_path_factory.mktemp("runs")
    return record(runs, config=CONFIG, states={"base-s1": "failed"}, points_per_epoch=20)


def tables(folder: ExperimentDir, out: Path, run: str | None = None) -> dict[str, list[dict[str, str]]]:
    export(read_state(folder), "csv", out, run)
    found = {}
    for path in out.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            found[path.stem] = list(csv.DictReader(file, strict=True))
    return found


def test_they_hold_what_the_logs_say(folder: ExperimentDir, tmp_path: Path) -> None:
    found = tables(folder, tmp_path)
    state = read_state(folder).state
    confusions = {f"confusion-{model}" for model in CONFIG.models}
    assert set(found) == {
        "runs",
        "epochs",
        "points",
        "gates",
        "models",
        "classes",
        "calibration",
        "heatmaps",
        *confusions,
    }
    assert [row["run"] for row in found["runs"]] == [f"{model}-s{seed}" for model in CONFIG.models for seed in (0, 1)]
    for run in state.runs.values():
        (row,) = [row for row in found["runs"] if row["run"] == run.id]
        assert (row["model"], int(row["seed"]), row["state"]) == (run.model, run.seed, run.state)
        assert float(row["test_accuracy_fraction"]) == run.epochs[-1].test_accuracy
        assert row["counts"] == ("1" if run.state == "finished" else "0")
        points = [row for row in found["points"] if row["run"] == run.id]
        assert [int(row["step"]) for row in points] == [int(step) for step in run.steps]
        assert [float(row["train_loss_nats"]) for row in points] == list(run.losses)
        epochs = [row for row in found["epochs"] if row["run"] == run.id]
        assert [float(row["test_loss_nats"]) for row in epochs] == [result.test_loss for result in run.epochs]
        assert [float(row["ended_unix_s"]) for row in epochs] == [result.t for result in run.epochs]


def test_every_gate_of_every_probe_has_a_row(folder: ExperimentDir, tmp_path: Path) -> None:
    rows = tables(folder, tmp_path)["gates"]
    assert {row["run"] for row in rows} == {"se-s0", "se-s1"}
    assert {int(row["epoch"]) for row in rows} == {0, 1, 2}
    assert len(rows) == 2 * 3 * 10 * (32 + 64)
    assert all(0 <= float(row["gate_mean_fraction"]) <= 1 for row in rows)


def test_of_one_run_there_is_only_that(folder: ExperimentDir, tmp_path: Path) -> None:
    found = tables(folder, tmp_path, "se-s1")
    assert set(found) == {"runs", "epochs", "points", "gates", "classes", "calibration", "heatmaps"}
    assert {row["run"] for rows in found.values() for row in rows} == {"se-s1"}


def test_the_reports_tables_have_the_same_headings(folder: ExperimentDir, tmp_path: Path) -> None:
    tables(folder, tmp_path / "export")
    write_report(read_state(folder), tmp_path / "report")
    exported = {path.name: path for path in (tmp_path / "export").glob("*.csv")}
    reported = {path.name: path for path in (tmp_path / "report" / "tables").glob("*.csv")}
    assert reported.keys() == exported.keys() - {"points.csv"}
    for name in reported.keys() - {"gates.csv"}:
        assert reported[name].read_bytes() == exported[name].read_bytes(), name
    head, *rows = exported["gates.csv"].read_text().splitlines()
    kept = [row for row, parsed in zip(rows, csv.DictReader([head, *rows]), strict=True) if parsed["epoch"] != "1"]
    assert reported["gates.csv"].read_text().splitlines() == [head, *kept], "of the untrained and of the final networks"


def test_no_spreadsheet_finds_a_formula(folder: ExperimentDir, tmp_path: Path) -> None:
    assert {row["experiment_name"] for row in tables(folder, tmp_path)["runs"]} == {"'=HYPERLINK(“x”)"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", "＝1"])
def test_a_cell_that_would_be_a_formula_is_a_text(text: str) -> None:
    (row,) = csv.reader(b"".join(csv_blocks((text,), ())).decode().splitlines())
    assert row[0][0] not in "=+-@＝ \t\r"


def test_lines_and_quotes_are_those_of_the_standard() -> None:
    data = b"".join(csv_blocks(("a", "b"), [('say "hi"', "x, y"), (None, -0.5), ("two\nlines", 7)]))
    assert data == b'a,b\r\n"say ""hi""","x, y"\r\n,-0.5\r\ntwo lines,7\r\n'


def test_a_damaged_probe_is_told_and_the_rest_written(tmp_path: Path) -> None:
    folder = record(tmp_path / "runs", config=ExperimentConfig(epochs=1), points_per_epoch=20)
    damage(folder.run("se-s0").probes / "epoch-00001.npz", at=200)
    path, problems = export(read_state(folder), "csv", tmp_path / "out")
    assert [problem.split(":")[0] for problem in problems] == ["se-s0"]
    with (path / "gates.csv").open(newline="") as file:
        assert {row["epoch"] for row in csv.DictReader(file)} == {"0"}
